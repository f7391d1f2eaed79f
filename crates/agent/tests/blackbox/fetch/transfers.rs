//! Large and broken transfers: byte for byte, in constant memory, and on from where they ended.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{
    CLIENT_ERROR, DONE, INPUT, INTERNAL, Place, REFUSED, Ran, SERVER_ERROR, UNREACHABLE, USAGE,
    fetch, ran,
};
use crate::nginx::Nginx;
use crate::stand_in::{StandIn, Step, answer, head};

const SMALL_BYTES: usize = 20_000_000;
const LARGE_BYTES: usize = 1_000_000_000;
/// How much more memory the large one may take: the allocator and the threads that read ahead waver by
/// a MiB or two, whatever the length is.
const GROWTH_KIB_MAX: u64 = 4096;

/// So many of its bytes, again and again, make up what is transferred.
const PATTERN_BYTES: usize = 251;

fn content(bytes: usize) -> Vec<u8> {
    let pattern: Vec<u8> = (0..=250).collect();
    let mut content = pattern.repeat(bytes.div_ceil(PATTERN_BYTES));
    content.truncate(bytes);
    content
}

/// The same in a file, which may be longer than fits in memory.
fn write_content(path: &Path, bytes: usize) {
    let piece = content(PATTERN_BYTES * 10_000);
    let mut file = fs::File::create(path).unwrap();
    let mut left = bytes;
    while left > 0 {
        let now = left.min(piece.len());
        file.write_all(&piece[..now]).unwrap();
        left -= now;
    }
}

fn holds_content(path: &Path, bytes: usize) -> bool {
    let piece = content(PATTERN_BYTES * 10_000);
    let mut file = fs::File::open(path).unwrap();
    let mut read = vec![0; piece.len()];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(piece.len());
        if file.read_exact(&mut read[..now]).is_err() || read[..now] != piece[..now] {
            return false;
        }
        left -= now;
    }
    file.read(&mut read).unwrap() == 0
}

/// The most resident memory of a run that must succeed, in KiB.
fn peak_kib(place: &Place, words: &[&str]) -> u64 {
    let mut child = place
        .command(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let told = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
        peak = told.unwrap_or(peak);
        thread::park_timeout(Duration::from_millis(2));
    };
    assert!(status.success(), "{words:?}: {status}");
    assert!(peak > 0, "{words:?} ended before it was looked at");
    peak
}

#[test]
fn a_large_download_takes_no_more_memory_than_a_small_one() {
    let (nginx, place) = (Nginx::plain(), Place::new());
    for (name, bytes) in [("small", SMALL_BYTES), ("large", LARGE_BYTES)] {
        write_content(&nginx.place(&format!("files/{name}")), bytes);
    }
    let peak = |name: &str| {
        let url = nginx.url(&format!("/files/{name}"));
        peak_kib(&place, &[&url, "--output", name])
    };
    let (small, large) = (peak("small"), peak("large"));
    assert!(large < small + GROWTH_KIB_MAX, "{small} and {large} KiB");
    assert!(holds_content(&place.path().join("large"), LARGE_BYTES));
    println!("{small} KiB for {SMALL_BYTES} bytes, {large} KiB for {LARGE_BYTES}");
}

#[test]
fn a_large_upload_takes_no_more_memory_than_a_small_one() {
    let (nginx, place) = (Nginx::plain(), Place::new());
    for (name, bytes) in [("small", SMALL_BYTES), ("large", LARGE_BYTES)] {
        write_content(&place.path().join(name), bytes);
    }
    let peak = |name: &str| {
        let url = nginx.url(&format!("/put/{name}"));
        peak_kib(&place, &["PUT", &url, &format!("@{name}")])
    };
    let (small, large) = (peak("small"), peak("large"));
    assert!(large < small + GROWTH_KIB_MAX, "{small} and {large} KiB");
    assert!(holds_content(&nginx.place("put/large"), LARGE_BYTES));
    println!("{small} KiB for {SMALL_BYTES} bytes, {large} KiB for {LARGE_BYTES}");
}

#[test]
fn a_part_is_asked_for_by_range() {
    let nginx = Nginx::plain();
    nginx.file("digits", b"0123456789");
    for (range, expected) in [("2-4", "234"), ("7-", "789"), ("-2", "89")] {
        let ran = fetch(&[&nginx.url("/files/digits"), "--range", range]).expect(DONE);
        assert_eq!(ran.text(), expected);
    }
    fetch(&[&nginx.url("/files/digits"), "--range", "20-"]).expect(CLIENT_ERROR);
}

/// Gives at most `cut` bytes of a file a connection, and breaks it off.
fn breaking(whole: &'static [u8], cut: usize, etag: fn(usize) -> String) -> StandIn {
    StandIn::start(move |number, request| {
        let tag = etag(number);
        let asked = request.fields.get("range").filter(|_| {
            let condition = request.fields.get("if-range");
            condition.is_none_or(|condition| *condition == tag)
        });
        let from: usize = asked.map_or(0, |range| {
            range["bytes=".len()..range.len() - 1].parse().unwrap()
        });
        let rest = &whole[from..];
        let length = rest.len().to_string();
        let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
        let mut fields = vec![("content-length", length.as_str()), ("etag", tag.as_str())];
        let status = match from {
            0 => "200 OK",
            _ => {
                fields.push(("content-range", range.as_str()));
                "206 Partial Content"
            }
        };
        let sent = &rest[..rest.len().min(cut)];
        let end = if sent.len() < rest.len() {
            Step::Reset
        } else {
            Step::Close
        };
        vec![Step::Send([&head(status, &fields)[..], sent].concat()), end]
    })
}

const FLOWERS: &[u8] = b"periwinkle, bluebell, forget-me-not and gentian";

fn ranges(server: &StandIn) -> Vec<Option<String>> {
    let requests = server.requests();
    let ranges = requests.iter().map(|one| one.fields.get("range").cloned());
    ranges.collect()
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let server = breaking(FLOWERS, 20, |_| "\"one\"".to_owned());
    let place = Place::new();
    place
        .fetch(&[&server.url("/"), "--output", "flowers", "--resume"])
        .expect(DONE);
    assert_eq!(fs::read(place.path().join("flowers")).unwrap(), FLOWERS);
    let expected = [
        None,
        Some("bytes=20-".to_owned()),
        Some("bytes=40-".to_owned()),
    ];
    assert_eq!(ranges(&server), expected);
}

/// Gives 20 bytes, then an error, then whatever is asked for.
fn breaking_and_failing() -> StandIn {
    StandIn::start(|number, request| {
        let fields = [("etag", "\"one\"")];
        let rest = |from: usize| {
            let range = format!("bytes {from}-{}/{}", FLOWERS.len() - 1, FLOWERS.len());
            let fields = [("etag", "\"one\""), ("content-range", range.as_str())];
            answer("206 Partial Content", &fields, &FLOWERS[from..])
        };
        match (number, request.fields.get("range").map(String::as_str)) {
            (1, _) => {
                let whole = answer("200 OK", &fields, FLOWERS);
                let cut = whole.len() - FLOWERS.len() + 20;
                vec![Step::Send(whole[..cut].to_vec()), Step::Reset]
            }
            (2, _) => vec![Step::Send(answer("500 Internal Server Error", &[], b""))],
            (_, Some("bytes=20-")) => vec![Step::Send(rest(20))],
            _ => vec![Step::Send(answer("200 OK", &fields, FLOWERS))],
        }
    })
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_ended_if_it_is_told_to() {
    for (more, range) in [
        (&["--resume"][..], Some("bytes=20-".to_owned())),
        (&[], None),
    ] {
        let server = breaking_and_failing();
        let place = Place::new();
        let url = server.url("/");
        let words = [url.as_str(), "--output", "flowers"];
        place
            .fetch(&[&words[..], &["--resume"]].concat())
            .expect(SERVER_ERROR);
        assert!(!place.path().join("flowers").exists());
        place.fetch(&[&words[..], more].concat()).expect(DONE);
        assert_eq!(fs::read(place.path().join("flowers")).unwrap(), FLOWERS);
        assert_eq!(ranges(&server), [None, Some("bytes=20-".to_owned()), range]);
    }
}

#[test]
fn a_file_that_has_changed_is_fetched_anew() {
    let server = breaking(FLOWERS, 30, |number| format!("\"{}\"", number / 2));
    let place = Place::new();
    place
        .fetch(&[&server.url("/"), "--output", "flowers", "--resume"])
        .expect(DONE);
    assert_eq!(fs::read(place.path().join("flowers")).unwrap(), FLOWERS);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[1].fields["if-range"], "\"0\"");
    assert_eq!(requests[2].fields["if-range"], "\"1\"");
}

#[test]
fn a_download_that_is_cut_again_and_again_without_a_tag_ends() {
    let server = StandIn::start(|_, _| {
        let head = head("200 OK", &[("content-length", "100")]);
        vec![Step::Send([&head[..], &[b'x'; 50]].concat()), Step::Reset]
    });
    let url = server.url("/");
    let words = [url.as_str(), "--output", "file"];
    let mut seen = 0;
    for (more, requests) in [
        (&[][..], 1),
        (&["--retries", "1"], 2),
        (&["--resume", "--retries", "2"], 3),
        (&["--resume", "--retries", "0"], 1),
    ] {
        let place = Place::new();
        place
            .fetch(&[&words[..], more].concat())
            .expect(UNREACHABLE);
        assert_eq!(server.requests().len() - seen, requests, "{more:?}");
        assert!(!place.path().join("file").exists());
        seen += requests;
    }
    let timed = ["--resume", "--retries", "1000", "--timeout", "1 s"];
    let ran = Place::new().fetch(&[&words[..], &timed].concat());
    let ran = ran.expect(UNREACHABLE);
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
}

#[test]
fn what_another_address_left_is_not_mixed_in() {
    let server = StandIn::start(|_, request| {
        let tag = ("etag", "\"same\"");
        let (letter, cut) = match request.target.as_str() {
            "/v1" => (b'1', true),
            _ => (b'2', false),
        };
        let whole = answer("200 OK", &[tag], &[letter; 100]);
        match cut {
            true => vec![Step::Send(whole[..whole.len() - 50].to_vec()), Step::Reset],
            false => vec![Step::Send(whole)],
        }
    });
    let place = Place::new();
    let words = ["--output", "file", "--resume", "--retries", "0"];
    let fetch = |path: &str| place.fetch(&[&[server.url(path).as_str()][..], &words].concat());
    fetch("/v1").expect(UNREACHABLE);
    assert_eq!(
        fs::read(place.path().join("file.part")).unwrap(),
        [b'1'; 50]
    );
    fetch("/v2").expect(DONE);
    assert_eq!(fs::read(place.path().join("file")).unwrap(), [b'2'; 100]);
}

#[test]
fn a_download_that_was_whole_is_not_fetched_again() {
    let nginx = Nginx::plain();
    nginx.file("page", b"0123456789");
    let place = Place::new();
    let url = nginx.url("/files/page");
    let words = [url.as_str(), "--output", "page"];
    place.fetch(&words).expect(DONE);
    place.fetch(&words).expect(DONE);
    assert_eq!(fs::read(place.path().join("page")).unwrap(), b"0123456789");
    assert_eq!(nginx.log().len(), 2);
}

/// Runs in a shell that lets no file grow beyond 512 bytes, as if the disk were full.
fn fetch_without_room(place: &Place, words: &[&str]) -> Ran {
    let fetch = place.command(words);
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    command.args(["-c", script]).arg(fetch.get_program());
    command.args(fetch.get_args()).current_dir(place.path());
    ran(&command.output().unwrap(), Instant::now())
}

#[test]
fn a_file_that_has_no_room_is_an_error_and_goes_on_when_it_has() {
    for bytes in [1_000, 1_000_000] {
        let nginx = Nginx::plain();
        nginx.file("page", &content(bytes));
        let place = Place::new();
        let url = nginx.url("/files/page");
        let words = [url.as_str(), "--output", "page"];
        let ran = fetch_without_room(&place, &words).expect(INPUT);
        assert!(ran.err.contains("page.part"), "{}", ran.err);
        assert!(!place.path().join("page").exists());
        place
            .fetch(&[&words[..], &["--resume"]].concat())
            .expect(DONE);
        assert!(fs::read(place.path().join("page")).unwrap() == content(bytes));
        let lines = nginx.log();
        assert_eq!(lines.len(), 2, "{lines:?}");
    }
}

#[test]
fn a_device_takes_what_comes_and_stays_what_it_is() {
    let nginx = Nginx::plain();
    nginx.file("page", &content(1_000_000));
    let place = Place::new();
    let url = nginx.url("/files/page");
    for (device, code) in [("/dev/null", DONE), ("/dev/full", INPUT)] {
        let link = place.path().join("device");
        symlink(device, &link).unwrap();
        place
            .fetch(&[url.as_str(), "--output", "device"])
            .expect(code);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new(device));
        fs::remove_file(&link).unwrap();
    }
    symlink("/dev/null", place.path().join("device")).unwrap();
    place
        .fetch(&[url.as_str(), "--output", "device", "--resume"])
        .expect(USAGE);
    place
        .fetch(&[&nginx.url("/missing"), "--output", "device"])
        .expect(CLIENT_ERROR);
    place.fetch(&[url.as_str(), "--output", "."]).expect(INPUT);
    assert_eq!(nginx.log().len(), 3);
}

#[test]
fn standard_output_without_room_is_an_error() {
    let nginx = Nginx::plain();
    nginx.file("page", &content(1_000_000));
    let place = Place::new();
    for bytes in ["0-9", "0-"] {
        let mut command = place.command(&[&nginx.url("/files/page"), "--range", bytes]);
        let full = fs::File::create("/dev/full").unwrap();
        let ran = ran(&command.stdout(full).output().unwrap(), Instant::now());
        ran.expect(INTERNAL).tells("standard output");
    }
}

#[test]
fn an_answer_that_is_no_success_is_not_kept_as_the_file() {
    let nginx = Nginx::plain();
    let place = Place::new();
    place
        .fetch(&[&nginx.url("/missing"), "--output", "page"])
        .expect(CLIENT_ERROR);
    assert!(!place.path().join("page").exists());
}

#[test]
fn a_range_that_was_not_asked_for_is_refused() {
    let server = StandIn::start(|number, _| match number {
        1 => {
            let fields = [("content-length", "10"), ("etag", "\"a\"")];
            vec![
                Step::Send([&head("200 OK", &fields)[..], b"01234"].concat()),
                Step::Close,
            ]
        }
        _ => {
            let fields = [("content-range", "bytes 3-9/10"), ("etag", "\"a\"")];
            vec![Step::Send(answer(
                "206 Partial Content",
                &fields,
                b"3456789",
            ))]
        }
    });
    let place = Place::new();
    let url = server.url("/");
    place
        .fetch(&[url.as_str(), "--output", "digits", "--resume"])
        .expect(REFUSED);
    assert!(!place.path().join("digits").exists());
    // The cut one, the part that does not fit, and the whole, of which a part comes again.
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_part_of_a_file_that_was_asked_for_whole_is_refused_at_once() {
    let server = StandIn::answering(answer(
        "206 Partial Content",
        &[("content-range", "bytes 0-2/10"), ("etag", "\"a\"")],
        b"012",
    ));
    let place = Place::new();
    let words = [&server.url("/")[..], "--output", "digits", "--resume"];
    place
        .fetch(&words)
        .expect(REFUSED)
        .tells("a part of the file, although all of it was asked for");
    assert!(!place.path().join("digits").exists());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn standard_output_cannot_be_resumed() {
    fetch(&["127.0.0.1:9", "--output", "-", "--resume"])
        .expect(USAGE)
        .tells("--resume needs a file to go on with");
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_download_in_order() {
    let nginx = Nginx::plain();
    nginx.file("large", &content(20_000_000));
    let place = Place::new();
    let mut child = place
        .command(&[nginx.url("/files/large")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(DONE));
}

#[test]
fn a_part_that_was_asked_for_becomes_the_file() {
    let nginx = Nginx::plain();
    fs::write(nginx.place("files/whole"), "hello\n").unwrap();
    let url = nginx.url("/files/whole");
    let place = Place::new();
    let path = place.path().join("part");
    let part = |range: &str| {
        let words = ["--range", range, &url, "--output", path.to_str().unwrap()];
        place.fetch(&words)
    };
    for (range, expected) in [("0-1", "he"), ("4-", "o\n"), ("-3", "lo\n")] {
        part(range).expect(DONE);
        assert_eq!(fs::read_to_string(&path).unwrap(), expected, "{range}");
    }
    part("100-").expect(CLIENT_ERROR).tells("416");
    assert_eq!(fs::read_to_string(&path).unwrap(), "lo\n");
    // The same in a field of one's own; and there is nothing to go on with.
    let own = [&url, "Range:bytes=1-2", "--output", path.to_str().unwrap()];
    place.fetch(&own).expect(DONE);
    assert_eq!(fs::read_to_string(&path).unwrap(), "el");
    for option in [&["--resume"][..], &["--show", "h"]] {
        let words = [&own[..], option].concat();
        place.fetch(&words).expect(USAGE).tells(option[0]);
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}
