//! What a signature costs: a request to DynamoDB with a body of 1 KB, keys of a session.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use periwinkle_core::aws::Credentials;
use periwinkle_core::aws::sigv4::{Payload, Request, Signer};
use periwinkle_core::time::UnixMillis;

use crate::figures::Figures;
use crate::steps::Task;

const HOST: &str = "dynamodb.eu-central-1.amazonaws.com";
const HEADERS: [(&str, &str); 2] = [
    ("content-type", "application/x-amz-json-1.0"),
    ("x-amz-target", "DynamoDB_20120810.PutItem"),
];
const BODY_BYTES: usize = 1000;
const AT: UnixMillis = UnixMillis(1_795_341_600_000);

pub(crate) fn run(task: &Task, figures: &mut Figures) -> Result<()> {
    let body = vec![b'a'; BODY_BYTES];
    let mut sign: Box<dyn FnMut() -> Result<usize>> = match task.client.as_str() {
        "periwinkle" => Box::new(ours(&body)),
        "aws-sigv4" => Box::new(theirs(&body)?),
        other => bail!("{other} does not sign"),
    };
    sign()?;
    let begun = Instant::now();
    for _ in 0..task.count {
        black_box(sign()?);
    }
    let time = begun.elapsed().as_secs_f64();
    figures.add("sign_us", time * 1e6 / f64::from(task.count));
    Ok(())
}

/// The signer keeps the key of the day, as the agent does.
fn ours(body: &[u8]) -> impl FnMut() -> Result<usize> {
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI").with_token("t".repeat(300));
    let mut signer = Signer::new("eu-central-1", "dynamodb");
    move || {
        let request = Request {
            method: "POST",
            host: HOST,
            path: "/",
            query: "",
            headers: &HEADERS,
            payload: Payload::Bytes(body),
        };
        Ok(signer.sign(&request, &credentials, AT).len())
    }
}

fn theirs(body: &[u8]) -> Result<impl FnMut() -> Result<usize>> {
    let credentials = aws_credential_types::Credentials::new(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI",
        Some("t".repeat(300)),
        None,
        "bench",
    );
    let identity = credentials.into();
    let millis = u64::try_from(AT.0).context("the time lies after 1970")?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    let uri = format!("https://{HOST}/");
    Ok(move || {
        let params = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name("dynamodb")
            .time(at)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = HEADERS.into_iter();
        let request = SignableRequest::new("POST", &uri, headers, SignableBody::Bytes(body))?;
        let (instructions, _) = aws_sigv4::http_request::sign(request, &params)?.into_parts();
        Ok(instructions.into_parts().0.len())
    })
}
