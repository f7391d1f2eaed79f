//! Bodies on their way to a server.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::payload::OpenBody;
use super::test_server::{Server, answer, fetch};
use super::*;

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_sent_is_delivered() {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            // Closing with unread bytes resets the connection.
            let _ = stream
                .write_all(&answer("413 Too Large", "too large"))
                .await;
        }
    });
    for _ in 0..20 {
        let request = fetch().put(&url).body(vec![0; 20_000_000]).retries(0);
        let answer = request.send().await.expect("the answer is delivered");
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.text().await.expect("so is its body"), "too large");
    }
}

#[tokio::test]
async fn a_server_is_asked_first_whether_it_wants_the_body() {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let served = tokio::spawn(async move {
        let mut heads = Vec::new();
        for wants in [true, false] {
            let (mut stream, _) = listener.accept().await.expect("we connect");
            let mut bytes = vec![0; 4096];
            let read = stream.read(&mut bytes).await.expect("it asks");
            heads.push(String::from_utf8_lossy(&bytes[..read]).into_owned());
            if wants {
                stream
                    .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                    .await
                    .expect("it listens");
                stream.read_exact(&mut bytes[..4]).await.expect("it sends");
                assert_eq!(&bytes[..4], b"body");
                stream
                    .write_all(&answer("200 OK", ""))
                    .await
                    .expect("it listens");
            } else {
                stream
                    .write_all(&answer("403 no", ""))
                    .await
                    .expect("it listens");
                let rest = stream.read(&mut bytes).await.expect("it closes");
                assert_eq!(rest, 0, "nothing of the body came");
            }
        }
        heads
    });
    let ask = || fetch().post(&url).bytes("body").ask_first().send();
    assert!(ask().await.expect("it is wanted").is_success());
    assert_eq!(
        ask().await.expect("it answers").status(),
        StatusCode::FORBIDDEN
    );
    let heads = served.await.expect("the server saw what it should");
    assert!(
        heads[0].contains("expect: 100-continue\r\n") && heads[0].ends_with("\r\n\r\n"),
        "{}",
        heads[0]
    );
}

#[tokio::test]
async fn a_form_with_files_has_its_length_and_can_be_sent_again() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("a.txt");
    std::fs::write(&path, "content").expect("it is ours");
    let server = Server::new(|at, _| match at {
        0 => answer("307 x\r\nlocation: /again", ""),
        _ => answer("200 OK", ""),
    })
    .await;
    let form = Form::new().text("name", "value").file("file", &path);
    let request = fetch().post(&server.url("/")).multipart(form);
    assert!(request.send().await.expect("it answers").is_success());
    let seen = server.seen();
    assert_eq!(seen[0].body, seen[1].body);
    let text = String::from_utf8(seen[0].body.clone()).expect("it is text");
    assert!(
        text.contains("filename=\"a.txt\"") && text.contains("\r\n\r\ncontent\r\n"),
        "{text}"
    );
    let missing = Form::new().file("file", folder.path().join("none"));
    let error = fetch()
        .post(&server.url("/"))
        .multipart(missing)
        .send()
        .await;
    let text = error.expect_err("there is no such file").to_string();
    assert!(text.contains("none: No such file"), "{text}");
}

#[tokio::test]
async fn what_is_written_behind_a_file_while_it_is_sent_is_left_out() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("app.log");
    let before = vec![b'a'; 700_000];
    std::fs::write(&path, &before).expect("it is ours");
    let form = Form::new().file("file", &path);
    let (_, form) = form.into_payload().expect("it can be written");
    for (mut payload, around) in [(Payload::file(&path), 0), (form, 200)] {
        let OpenBody::Stream(mut opened) = payload.open().await.expect("it is there") else {
            panic!("a file is read in pieces");
        };
        let length = opened.length.expect("it has one");
        let mut file = std::fs::File::options();
        let mut file = file.append(true).open(&path).expect("it is ours");
        std::io::Write::write_all(&mut file, &[b'b'; 300_000]).expect("it is ours");
        let mut bytes = Vec::new();
        while let Some(piece) = opened.stream.next().await {
            bytes.extend_from_slice(&piece.expect("it can be read"));
        }
        assert_eq!(bytes.len() as u64, length);
        assert!(bytes.len() <= before.len() + around, "{}", bytes.len());
        std::fs::write(&path, &before).expect("it is ours");
    }
}

#[tokio::test]
async fn what_the_kernel_makes_up_is_sent_as_long_as_it_is() {
    let path = "/sys/devices/system/cpu/online";
    let whole = std::fs::read(path).expect("every Linux has it");
    let told = std::fs::metadata(path).expect("it is there").len();
    assert!(told > whole.len() as u64, "the system calls it a page long");
    let server = Server::always(answer("200 OK", "")).await;
    let fetch = fetch();
    let put = fetch.put(&server.url("/")).body(Payload::file(path));
    assert!(put.send().await.expect("it answers").is_success());
    let form = fetch.post(&server.url("/"));
    let form = form.multipart(Form::new().file("file", path));
    assert!(form.send().await.expect("it answers").is_success());
    let seen = server.seen();
    assert_eq!(seen[0].body, whole);
    let form = &seen[1].body;
    assert!(form.windows(whole.len()).any(|part| part == whole));
}

#[tokio::test]
async fn an_upload_tells_how_far_it_has_come() {
    let server = Server::always(answer("200 OK", "")).await;
    let (sender, progress) = tokio::sync::watch::channel(Progress::default());
    let request = fetch()
        .put(&server.url("/"))
        .body(vec![0; 1_000_000])
        .progress(sender);
    request.send().await.expect("it answers");
    let expected = Progress {
        bytes: 1_000_000,
        length: Some(1_000_000),
    };
    assert_eq!(*progress.borrow(), expected);
}

/// A server that answers what it is told, if anything, and reads on until the connection ends.
async fn reading_on(answer: Vec<u8>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("we connect");
        let mut bytes = [0; 4096];
        let _ = stream.read(&mut bytes).await;
        stream.write_all(&answer).await.expect("it listens");
        while let Ok(1..) = stream.read(&mut bytes).await {}
    });
    (url, served)
}

/// A body whose source gives one piece, and then nothing more and no end.
fn endless() -> Payload {
    let first = futures_util::stream::iter([Ok(Bytes::from_static(b"first"))]);
    Payload::stream(first.chain(futures_util::stream::pending()), None)
}

async fn assert_ends(served: JoinHandle<()>) {
    let ended = timeout(Duration::from_secs(60), served).await;
    ended.expect("the upload goes on").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn an_upload_ends_when_its_answer_was_read_or_is_dropped() {
    for reads in [true, false] {
        let (url, served) = reading_on(answer("413 Too Large", "too large")).await;
        let answer = fetch().put(&url).body(endless()).send().await;
        let answer = answer.expect("the answer is delivered");
        match reads {
            true => assert_eq!(answer.text().await.expect("so is its body"), "too large"),
            false => drop(answer),
        }
        assert_ends(served).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_ends_when_nobody_waits_for_its_answer() {
    let (url, served) = reading_on(Vec::new()).await;
    let sending = fetch().put(&url).body(endless()).send();
    let given_up = timeout(Duration::from_secs(1), sending).await;
    given_up.expect_err("the server says nothing");
    assert_ends(served).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_source_stops_is_too_slow_and_ends() {
    let (url, served) = reading_on(Vec::new()).await;
    let error = fetch().put(&url).body(endless()).retries(0).send().await;
    let error = error.expect_err("the body never ends");
    let within = Deadlines::default().between_bytes;
    assert!(
        matches!(error, FetchError::TooSlow { phase: Phase::Sending, after, .. } if after == within),
        "{error:?}"
    );
    assert_ends(served).await;
}
