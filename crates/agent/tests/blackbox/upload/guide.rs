//! The code of the guide, as it stands there.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use periwinkle::Agent;
use periwinkle::upload::UploadError;

/// Its body is the guide's, but for the words at the ends of lines and the last three lines, which
/// use what is named before.
async fn code_of_the_guide<S>(agent: Agent, stream: S) -> Result<(), UploadError>
where
    S: Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
{
    let uploads = agent.uploads();
    let upload = uploads
        .put("${deviceId}/report.json", "{\"ok\":true}")
        .await?;
    let progress = upload.done().await?;
    uploads
        .put_file("${deviceId}/video.mp4", "/data/video.mp4")
        .remove()
        .priority(9)
        .await?;
    uploads
        .put_stream("${deviceId}/samples.csv", stream)
        .content_type("text/csv")
        .await?;
    let mut object = uploads.get("pump-7/settings.json").await?;
    let link = uploads.presign_get("pump-7/report.json", Duration::from_secs(600))?;
    object.chunk().await?;
    drop((progress, link));
    Ok(())
}

/// The letters of code, without spaces and without the words behind two slashes.
fn letters(code: &str) -> String {
    let lines = code.lines().map(|line| match line.split_once("//") {
        Some((code, _)) => code,
        None => line,
    });
    lines
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect()
}

#[test]
fn the_code_of_the_guide_compiles_as_it_stands_there() {
    let guide = include_str!("../../../../../docs/guide/upload.md");
    let blocks: Vec<&str> = guide
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```").map(|(code, _)| code))
        .collect();
    assert_eq!(blocks.len(), 1, "a block that nothing here compiles");
    assert!(
        letters(include_str!("guide.rs")).contains(&letters(blocks[0])),
        "{}",
        blocks[0]
    );
    // Compiled, not run.
    let _ = code_of_the_guide::<futures_util::stream::Empty<Result<Bytes, std::io::Error>>>;
}
