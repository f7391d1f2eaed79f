//! Bodies in chunks: AWS's own examples, and the judge that is made of the SDK's crate.

use super::super::*;
use crate::aws::Credentials;
use crate::aws::checksum::Algorithm;
use crate::limits;
use crate::time::UnixMillis;
use periwinkle_testkit::sigv4_judge::{Account, Received, Refused, judge};
use proptest::prelude::*;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// 20130524T000000Z
const EXAMPLE_TIME: UnixMillis = UnixMillis(1_369_353_600_000);

/// The two examples of the S3 API reference, 65 KiB of the letter a in two chunks and an end.
#[test]
fn the_examples_of_the_reference_are_met() {
    let plain: &[(&str, &str)] = &[
        ("content-encoding", "aws-chunked"),
        ("content-length", "66824"),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    let (head, mut chunks) = example(plain, Payload::SignedChunks);
    assert_eq!(
        head,
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    );
    let data = vec![b'a'; 66_560];
    let signatures =
        [&data[..65_536], &data[65_536..], b""].map(|data| chunks.chunk(data).to_owned());
    assert_eq!(
        signatures,
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ]
    );

    let with_trailer: &[(&str, &str)] = &[
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
    ];
    let (head, mut chunks) = example(with_trailer, Payload::SignedChunksWithTrailer);
    assert_eq!(
        head,
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    );
    let signatures =
        [&data[..65_536], &data[65_536..], b""].map(|data| chunks.chunk(data).to_owned());
    assert_eq!(
        signatures,
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ]
    );
    assert_eq!(
        chunks.trailer(&[("x-amz-checksum-crc32c", "sOO8/Q==")]),
        "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    );
}

fn example(headers: &[(&str, &str)], payload: Payload<'_>) -> (String, ChunkSigner) {
    let mut signer = Signer::new("us-east-1", "s3");
    let request = Request {
        method: "PUT",
        host: "s3.amazonaws.com",
        path: "/examplebucket/chunkObject.txt",
        query: "",
        headers,
        payload,
    };
    let keys = Credentials::new(KEY, SECRET);
    let (own, chunks) = signer.sign_chunked(&request, &keys, EXAMPLE_TIME);
    let authorization = &own.last().unwrap().1;
    let signature = authorization.split("Signature=").nth(1).unwrap();
    (signature.to_owned(), chunks)
}

/// A body as the client sends it.
fn sent(form: ChunkedForm, body: &[u8], pieces: usize) -> Received {
    let length = body.len() as u64;
    let mut headers: Vec<(&str, String)> = form.headers(length);
    headers.push(("content-type", "text/plain".to_owned()));
    let given: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let request = Request {
        method: "PUT",
        host: "b.s3.eu-west-1.amazonaws.com",
        path: "/a%20b//c",
        query: "partNumber=1&uploadId=x",
        headers: &given,
        payload: form.payload(),
    };
    let keys = Credentials::new(KEY, SECRET).with_token("tok/en");
    let (own, chunks) = Signer::new("eu-west-1", "s3").sign_chunked(&request, &keys, EXAMPLE_TIME);
    let mut encoder = match form {
        ChunkedForm::Signed => ChunkedBody::signed(chunks, None, length),
        ChunkedForm::SignedWithTrailer(algorithm) => {
            ChunkedBody::signed(chunks, Some(algorithm), length)
        }
        ChunkedForm::Unsigned(algorithm) => ChunkedBody::unsigned(algorithm, length),
    };
    let mut out = Vec::new();
    for piece in body.chunks(pieces.max(1)) {
        encoder.push(piece, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    assert_eq!(out.len() as u64, form.encoded_bytes(length), "{form:?}");
    headers.extend(own);
    Received {
        method: "PUT".to_owned(),
        uri: "https://b.s3.eu-west-1.amazonaws.com/a%20b//c?partNumber=1&uploadId=x".to_owned(),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        body: out,
    }
}

fn account() -> Account {
    Account {
        secret: SECRET.to_owned(),
        token: Some("tok/en".to_owned()),
    }
}

const FORMS: [ChunkedForm; 5] = [
    ChunkedForm::Signed,
    ChunkedForm::SignedWithTrailer(Algorithm::Crc32),
    ChunkedForm::SignedWithTrailer(Algorithm::Crc64Nvme),
    ChunkedForm::Unsigned(Algorithm::Crc32),
    ChunkedForm::Unsigned(Algorithm::Crc64Nvme),
];

#[test]
fn bodies_around_the_size_of_a_chunk_are_accepted() {
    let chunk = limits::SIGNED_CHUNK_BYTES;
    for form in FORMS {
        for length in [
            0,
            1,
            15,
            16,
            17,
            chunk - 1,
            chunk,
            chunk + 1,
            2 * chunk,
            2 * chunk + 5,
        ] {
            let body: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let request = sent(form, &body, 10_000);
            assert_eq!(judge(&request, &account()), Ok(body), "{form:?} {length}");
        }
    }
}

#[test]
fn an_altered_body_is_refused_by_what_protects_it() {
    let body = vec![7; 100_000];
    let find = |request: &Received, needle: &[u8]| {
        let mut windows = request.body.windows(needle.len());
        windows.position(|window| window == needle).unwrap()
    };
    for form in FORMS {
        let request = sent(form, &body, 4096);
        let altered = |at: usize| {
            let mut altered = request.clone();
            altered.body[at] ^= 1;
            judge(&altered, &account())
        };
        let signed = form.payload().hash() != "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
        let first = find(&request, &[7; 16]);
        let second = first + 90_000;
        let expected = |chunk: usize| {
            Err(if signed {
                Refused::Chunk(chunk)
            } else {
                Refused::Checksum
            })
        };
        assert_eq!(altered(first), expected(0), "{form:?}");
        assert_eq!(altered(second), expected(1), "{form:?}");
        if let Some(algorithm) = form.checksum() {
            let value =
                find(&request, algorithm.header().as_bytes()) + algorithm.header().len() + 1;
            let refused = if signed {
                Refused::Trailer
            } else {
                Refused::Checksum
            };
            assert_eq!(altered(value), Err(refused), "{form:?}");
        }
    }
}

#[test]
fn a_wrong_secret_token_or_header_is_refused() {
    let request = sent(ChunkedForm::Signed, b"body", 4);
    let refused = |change: fn(&mut Received, &mut Account)| {
        let (mut request, mut account) = (request.clone(), account());
        change(&mut request, &mut account);
        judge(&request, &account).unwrap_err()
    };
    assert_eq!(
        refused(|_, account| account.secret.push('x')),
        Refused::Signature
    );
    assert_eq!(refused(|_, account| account.token = None), Refused::Token);
    let alter = |request: &mut Received, name: &str| {
        let mut headers = request.headers.iter_mut();
        let header = headers.find(|(given, _)| given == name).unwrap();
        header.1 = "20130524T000001Z".to_owned();
    };
    let changed: [(&str, Refused); 2] = [
        ("content-type", Refused::Signature),
        ("x-amz-date", Refused::Signature),
    ];
    for (name, expected) in changed {
        let mut request = request.clone();
        alter(&mut request, name);
        assert_eq!(judge(&request, &account()), Err(expected), "{name}");
    }
    assert_eq!(
        refused(|request, _| {
            let length = request.body.len();
            request.body.truncate(length - 2);
        }),
        Refused::Framing("the end of a line")
    );
}

#[test]
fn a_body_that_is_not_as_long_as_announced_is_not_sent() {
    let mut out = Vec::new();
    let mut body = ChunkedBody::unsigned(Algorithm::Crc32, 3);
    let wrong = |given| ChunkedBodyError {
        announced: 3,
        given,
    };
    assert_eq!(body.push(b"four", &mut out), Err(wrong(4)));
    body.push(b"tw", &mut out).unwrap();
    assert_eq!(body.finish(&mut out), Err(wrong(2)));
    assert!(out.is_empty());
}

#[test]
fn a_chunk_is_large_enough_for_s3() {
    const { assert!(limits::SIGNED_CHUNK_BYTES >= limits::SIGNED_CHUNK_BYTES_MIN) };
}

proptest! {
    #[test]
    fn any_body_in_any_pieces_is_accepted(
        body in prop::collection::vec(any::<u8>(), 0..200),
        pieces in 1_usize..50,
        form in prop::sample::select(FORMS.to_vec()),
    ) {
        prop_assert_eq!(judge(&sent(form, &body, pieces), &account()), Ok(body));
    }
}
