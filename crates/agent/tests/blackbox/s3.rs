//! The core's requests and readings against a real emulator of AWS that checks signatures: single
//! objects, presigned addresses, and an upload in parts that is cut in the middle and goes on.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use periwinkle_core::aws::checksum::{Algorithm, Checksum, Coverage, composite};
use periwinkle_core::aws::s3::upload::{
    Answer, Failure, Outcome, Output, PartPlan, Phase, Record, Request, Upload,
};
use periwinkle_core::aws::s3::{
    AbortMultipartUpload, Bucket, CompleteMultipartUpload, Condition, CreateMultipartUpload,
    DeleteObject, GetObject, HeadObject, ListObjects, ListParts, ListUploads, ObjectKey, PutObject,
    S3CallError, UploadPart,
};
use periwinkle_core::aws::sigv4::{ChunkedForm, Payload, PresignedLife, Signers};
use periwinkle_core::aws::sts::GetCallerIdentity;
use periwinkle_core::aws::wire::{
    Call, Endpoint, EndpointOptions, HttpAnswer, HttpRequest, Service,
};
use periwinkle_core::aws::{Credentials, ServiceErrorKind};
use periwinkle_core::fetch::Url;
use periwinkle_core::limits;
use periwinkle_core::time::{Mono, UnixMillis};
use periwinkle_core::value::{Map, Value};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use crate::counterparts::Cloud;
use crate::eventually::eventually;

const REGION: &str = "us-east-1";
const FORM: ChunkedForm = ChunkedForm::SignedWithTrailer(Algorithm::Crc32);

#[test]
fn an_emulator_of_s3_takes_what_is_made_here() {
    let cloud = Cloud::shared();
    let emulator = Emulator::with_user(&cloud);
    let bucket = emulator.bucket();
    objects_are_written_read_listed_and_removed(&emulator, &bucket);
    an_address_works_until_it_ends(&emulator, &bucket);
    an_upload_goes_on_where_it_was_cut(&emulator, &bucket);
    an_upload_that_is_given_up_leaves_nothing(&emulator, &bucket);
    a_wrong_secret_is_refused(&cloud, &emulator, &bucket);
    the_owner_of_the_keys_is_known(&emulator);
}

fn objects_are_written_read_listed_and_removed(emulator: &Emulator, bucket: &Bucket) {
    let key = || ObjectKey::new("a b/ä+.txt").unwrap();
    let data = b"0123456789";
    let put = PutObject {
        content_type: Some("text/plain".into()),
        checksum: Some(Checksum::of(Algorithm::Crc32, data)),
        ..PutObject::new(key(), 10)
    };
    let (request, _) = put.request(bucket).unwrap();
    let written = emulator
        .call(bucket, &request, data, PutObject::answer)
        .unwrap();

    let mut get = GetObject::new(key());
    let whole = emulator.reply(bucket, &get.request(bucket), b"");
    assert_eq!(whole.body, data);
    let fields = whole.answer(GetObject::answer).unwrap().unwrap();
    assert_eq!(fields.etag, written.etag);
    assert_eq!(fields.content_type.as_deref(), Some("text/plain"));
    get.range = Some((2, Some(4)));
    let part = emulator.reply(bucket, &get.request(bucket), b"");
    assert_eq!(
        (part.status, part.body.as_slice()),
        (206, b"234".as_slice())
    );
    get.range = None;
    get.condition = Condition::IsNot(written.etag.clone());
    let same = emulator.call(bucket, &get.request(bucket), b"", GetObject::answer);
    assert_eq!(same, Ok(None));

    let list = ListObjects {
        prefix: "a b/".into(),
        ..ListObjects::default()
    };
    let page = emulator
        .call(bucket, &list.request(bucket), b"", ListObjects::answer)
        .unwrap();
    assert_eq!(page.objects.len(), 1);
    assert_eq!(
        (page.objects[0].key.as_str(), page.objects[0].bytes),
        ("a b/ä+.txt", 10)
    );

    let delete = DeleteObject {
        key: key(),
        version: None,
    };
    emulator
        .call(bucket, &delete.request(bucket), b"", DeleteObject::answer)
        .unwrap();
    let head = HeadObject {
        key: key(),
        version: None,
    };
    let gone = emulator.call(bucket, &head.request(bucket), b"", HeadObject::answer);
    assert_eq!(kind(gone), ServiceErrorKind::NoSuchResource);
}

fn an_address_works_until_it_ends(emulator: &Emulator, bucket: &Bucket) {
    let key = ObjectKey::new("shared").unwrap();
    let (request, _) = PutObject::new(key.clone(), 2).request(bucket).unwrap();
    emulator
        .call(bucket, &request, b"ok", PutObject::answer)
        .unwrap();
    let life = PresignedLife::new(Duration::from_secs(60)).unwrap();
    let mut get = GetObject::new(key).request(bucket);
    get.headers.clear();
    let at = |millis: i64| {
        let at = UnixMillis(now().0 - millis);
        let url = bucket.presign(&get, &mut Signers::new(), &emulator.keys, at, life);
        let target = &url[url.find("/test-bucket").unwrap()..];
        emulator.send("GET", target, &[], b"")
    };
    let good = at(0);
    assert_eq!((good.status, good.body.as_slice()), (200, b"ok".as_slice()));
    assert_eq!(at(120_000).status, 403);
}

fn an_upload_goes_on_where_it_was_cut(emulator: &Emulator, bucket: &Bucket) {
    let data: Vec<u8> = (0..11_000_005_u32).map(|at| (at % 251) as u8).collect();
    let key = ObjectKey::new("parts").unwrap();
    let mut shell = Shell::new(emulator, bucket, &data, &key);
    let mut first = Upload::start(shell.record.clone());
    assert_eq!(shell.run(&mut first, 2), None);
    assert_eq!(shell.sent, 2);
    let mut second = Upload::resume(shell.record.clone());
    assert_eq!(shell.run(&mut second, u32::MAX), Some(Outcome::Done));
    assert_eq!((shell.sent, shell.hashed), (3, 0));

    let reply = emulator.reply(bucket, &GetObject::new(key).request(bucket), b"");
    let parts = data.chunks(usize::try_from(limits::S3_PART_BYTES_MIN).unwrap());
    let checksums = parts.map(|part| Checksum::of(Algorithm::Crc32, part));
    let expected = (
        "x-amz-checksum-crc32".to_owned(),
        composite(Algorithm::Crc32, checksums),
    );
    assert!(reply.headers.contains(&expected), "{:?}", reply.headers);
    let fields = reply.answer(GetObject::answer).unwrap().unwrap();
    let mark = ("periwinkle-upload".to_owned(), "mark of parts".to_owned());
    assert_eq!(fields.metadata, [mark]);
    assert!(reply.body == data, "{} bytes came back", reply.body.len());
}

fn an_upload_that_is_given_up_leaves_nothing(emulator: &Emulator, bucket: &Bucket) {
    let data = vec![1; 6_000_000];
    let key = ObjectKey::new("given up").unwrap();
    let mut shell = Shell::new(emulator, bucket, &data, &key);
    let mut upload = Upload::start(shell.record.clone());
    assert_eq!(shell.run(&mut upload, 1), None);
    upload.cancel();
    assert_eq!(shell.run(&mut upload, u32::MAX), Some(Outcome::Cancelled));
    let list = ListUploads::default().request(bucket);
    let page = emulator
        .call(bucket, &list, b"", ListUploads::answer)
        .unwrap();
    assert_eq!(page.uploads, []);
}

fn a_wrong_secret_is_refused(cloud: &Cloud, emulator: &Emulator, bucket: &Bucket) {
    let mut other = Emulator::of(cloud);
    other.keys = Credentials::new(emulator.keys.access_key_id.as_str(), "wrong");
    let list = ListObjects::default().request(bucket);
    let refused = other.call(bucket, &list, b"", ListObjects::answer);
    assert_eq!(kind(refused), ServiceErrorKind::BadSignature);
}

fn the_owner_of_the_keys_is_known(emulator: &Emulator) {
    let service = Service::find("sts").unwrap();
    let endpoint = emulator.endpoint(service);
    let request = GetCallerIdentity.request();
    let mut signers = Signers::new();
    let own = endpoint.sign(service, &request, &mut signers, &emulator.keys, now());
    let headers = joined(&request, own);
    let reply = emulator.send("POST", "/", &headers, &request.body);
    let identity = reply.answer(GetCallerIdentity::answer).unwrap();
    assert_eq!(identity.account, "000000000000");
}

fn kind<T: std::fmt::Debug>(result: Result<T, S3CallError>) -> ServiceErrorKind {
    match result.unwrap_err() {
        S3CallError::Service(error) => error.kind,
        other => panic!("{other}"),
    }
}

/// A shell around the machine, one request at a time.
struct Shell<'a> {
    emulator: &'a Emulator,
    bucket: &'a Bucket,
    data: &'a [u8],
    record: Record,
    sent: u32,
    hashed: u32,
}

impl<'a> Shell<'a> {
    fn new(emulator: &'a Emulator, bucket: &'a Bucket, data: &'a [u8], key: &ObjectKey) -> Self {
        let plan = PartPlan::new(data.len() as u64, limits::S3_PART_BYTES_MIN).unwrap();
        let record = Record {
            bucket: bucket.name().to_owned(),
            key: key.clone(),
            plan,
            source: String::new(),
            checksum: Algorithm::Crc32,
            mark: format!("mark of {key}"),
            upload_id: None,
            phase: Phase::Sending,
        };
        Shell {
            emulator,
            bucket,
            data,
            record,
            sent: 0,
            hashed: 0,
        }
    }

    /// Runs to the end, or until so many parts were sent.
    fn run(&mut self, upload: &mut Upload, parts_max: u32) -> Option<Outcome> {
        loop {
            let output = upload.poll_output(Mono::ZERO).expect("nothing fails here");
            match output {
                Output::Save(record) => {
                    self.record = record;
                    upload.handle_saved();
                }
                Output::Request { id, request } => {
                    let answer = self.exchange(&request).unwrap_or_else(|error| {
                        panic!("{request:?}: {error}, {:?}", Failure::of(&error))
                    });
                    upload.handle_answer(id, answer, Mono::ZERO, 0);
                    if self.sent >= parts_max {
                        return None;
                    }
                }
                Output::Finished(outcome) => return Some(outcome),
            }
        }
    }

    fn exchange(&mut self, request: &Request) -> Result<Answer, S3CallError> {
        let (key, upload_id) = (&self.record.key, self.record.upload_id.as_deref());
        let upload_id = upload_id.unwrap_or_default();
        match request {
            Request::Create => {
                let create = CreateMultipartUpload {
                    key: key.clone(),
                    content_type: None,
                    checksum: Some((self.record.checksum, Coverage::FullObject)),
                    metadata: vec![("periwinkle-upload".into(), self.record.mark.clone())],
                };
                let (request, metadata) = create.request(self.bucket).unwrap();
                assert_eq!(metadata.len(), 1);
                let request = request.with_header("x-amz-meta-periwinkle-upload", &*metadata[0].1);
                let upload_id = self.call(&request, CreateMultipartUpload::answer)?;
                Ok(Answer::Created { upload_id })
            }
            Request::List { after } => {
                let list = ListParts {
                    key,
                    upload_id,
                    after: *after,
                };
                let page = self.call(&list.request(self.bucket), ListParts::answer)?;
                Ok(Answer::Listed(page))
            }
            Request::Part {
                number,
                offset,
                bytes,
            } => {
                let part = UploadPart {
                    key,
                    upload_id,
                    number: *number,
                    length: *bytes,
                    checksum: None,
                };
                let request = part.request(self.bucket).unwrap();
                let data = self.slice(*offset, *bytes);
                let written = self.emulator.chunked(self.bucket, request, data)?;
                self.sent += 1;
                Ok(Answer::Sent {
                    etag: written.etag,
                    checksum: Checksum::of(Algorithm::Crc32, data),
                })
            }
            Request::Hash { offset, bytes, .. } => {
                self.hashed += 1;
                let data = self.slice(*offset, *bytes);
                Ok(Answer::Hashed(Checksum::of(Algorithm::Crc32, data)))
            }
            Request::Complete { parts, .. } => {
                // The emulator takes every checksum of the whole for one of its parts' checksums,
                // whatever type was announced, so it is shown none.
                let complete = CompleteMultipartUpload {
                    key,
                    upload_id,
                    parts,
                    length: Some(self.record.plan.length()),
                    checksum: None,
                    condition: Condition::None,
                };
                let request = complete.request(self.bucket).unwrap();
                self.call(&request, CompleteMultipartUpload::answer)?;
                Ok(Answer::Completed)
            }
            Request::Head => panic!("no answer was lost"),
            Request::Abort => {
                let abort = AbortMultipartUpload { key, upload_id };
                self.call(&abort.request(self.bucket), AbortMultipartUpload::answer)?;
                Ok(Answer::Aborted)
            }
        }
    }

    fn slice(&self, offset: u64, bytes: u64) -> &'a [u8] {
        let from = usize::try_from(offset).unwrap();
        &self.data[from..from + usize::try_from(bytes).unwrap()]
    }

    fn call<T>(
        &self,
        request: &HttpRequest,
        read: impl FnOnce(HttpAnswer<'_>) -> Result<T, S3CallError>,
    ) -> Result<T, S3CallError> {
        self.emulator
            .call(self.bucket, request, &request.body, read)
    }
}

/// The emulator, with keys whose signatures it checks.
struct Emulator {
    address: String,
    keys: Credentials,
}

impl Emulator {
    /// As its owner, whose signatures are taken unseen.
    fn of(cloud: &Cloud) -> Emulator {
        Emulator {
            address: cloud.address().to_owned(),
            keys: Credentials::new("test", "test"),
        }
    }

    /// As a user of its own.
    fn with_user(cloud: &Cloud) -> Emulator {
        let mut emulator = Emulator::of(cloud);
        eventually("the emulator answers", || emulator.answers().then_some(()));
        emulator.keys = emulator.user();
        emulator
    }

    /// Makes the user.
    fn user(&self) -> Credentials {
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        let user = || Map::from([("UserName", "s3-test")]);
        self.iam("CreateUser", user());
        let mut put = user();
        put.insert("PolicyName", "all");
        put.insert("PolicyDocument", policy);
        self.iam("PutUserPolicy", put);
        let answer = self.iam("CreateAccessKey", user());
        let key = answer.as_map().unwrap()["AccessKey"].as_map().unwrap();
        let text = |name| key.text(name).unwrap().to_owned();
        Credentials::new(text("AccessKeyId"), text("SecretAccessKey"))
    }

    fn iam(&self, operation: &str, parameters: Map) -> Value {
        let call = Call::new("iam", operation, parameters).unwrap();
        let endpoint = self.endpoint(call.service());
        let request = call.request().unwrap();
        let mut signers = Signers::new();
        let own = endpoint.sign(call.service(), &request, &mut signers, &self.keys, now());
        let reply = self.send("POST", "/", &joined(&request, own), &request.body);
        reply.answer(|answer| call.answer(answer)).unwrap()
    }

    /// Whether it answers at all: it listens before it does.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(&*self.address) else {
            return false;
        };
        let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let mut bytes = Vec::new();
        stream.write_all(request).is_ok()
            && stream.read_to_end(&mut bytes).is_ok()
            && bytes.starts_with(b"HTTP/1.1 ")
    }

    fn endpoint(&self, service: &Service) -> Endpoint {
        let url = self.url();
        let options = EndpointOptions {
            custom: Some(&url),
            ..EndpointOptions::default()
        };
        Endpoint::of(service, REGION, options).unwrap()
    }

    fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).unwrap()
    }

    /// A new bucket.
    fn bucket(&self) -> Bucket {
        let service = Service::find("s3").unwrap();
        let endpoint = self.endpoint(service);
        let request = HttpRequest::new("PUT", "/test-bucket");
        let own = endpoint.sign(service, &request, &mut Signers::new(), &self.keys, now());
        let reply = self.send("PUT", "/test-bucket", &joined(&request, own), b"");
        assert_eq!(reply.status, 200);
        let url = self.url();
        let options = EndpointOptions {
            custom: Some(&url),
            ..EndpointOptions::default()
        };
        Bucket::new("test-bucket", REGION, options).unwrap()
    }

    fn call<T>(
        &self,
        bucket: &Bucket,
        request: &HttpRequest,
        body: &[u8],
        read: impl FnOnce(HttpAnswer<'_>) -> Result<T, S3CallError>,
    ) -> Result<T, S3CallError> {
        self.reply(bucket, request, body).answer(read)
    }

    /// Sends a request with its body signed as a whole.
    fn reply(&self, bucket: &Bucket, request: &HttpRequest, body: &[u8]) -> Reply {
        let mut signers = Signers::new();
        let payload = Payload::Bytes(body);
        let own = bucket.sign(request, payload, &mut signers, &self.keys, now());
        self.send(
            request.method,
            &target(request),
            &joined(request, own),
            body,
        )
    }

    /// Sends a part with its body signed chunk by chunk.
    fn chunked(
        &self,
        bucket: &Bucket,
        request: HttpRequest,
        data: &[u8],
    ) -> Result<periwinkle_core::aws::s3::Written, S3CallError> {
        let length = data.len() as u64;
        let request = request.with_chunks(FORM, length);
        let mut signers = Signers::new();
        let announced = (FORM, length);
        let (own, mut chunks) =
            bucket.sign_chunked(&request, announced, &mut signers, &self.keys, now());
        let mut body = Vec::new();
        chunks.push(data, &mut body).unwrap();
        chunks.finish(&mut body).unwrap();
        self.send("PUT", &target(&request), &joined(&request, own), &body)
            .answer(UploadPart::answer)
    }

    fn send(&self, method: &str, target: &str, headers: &[(String, String)], body: &[u8]) -> Reply {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.address);
        let stated = headers.iter().any(|(name, _)| name == "content-length");
        if !stated {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("connection: close\r\n\r\n");
        let mut stream = TcpStream::connect(&*self.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Reply::parse(&bytes)
    }
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Reply {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        let chunked = headers
            .iter()
            .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = &bytes[end + 4..];
        Reply {
            status,
            headers,
            body: if chunked {
                unchunked(body)
            } else {
                body.to_vec()
            },
        }
    }

    fn answer<T, E>(&self, read: impl FnOnce(HttpAnswer<'_>) -> Result<T, E>) -> Result<T, E> {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        read(HttpAnswer {
            status: self.status,
            headers: &headers,
            body: &self.body,
        })
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        // An answer to HEAD announces chunks and has none.
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
            return body;
        };
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        rest = &rest[end + 2..];
        body.extend_from_slice(&rest[..length]);
        rest = &rest[length + 2..];
    }
}

fn target(request: &HttpRequest) -> String {
    match request.query.as_str() {
        "" => request.path.clone(),
        query => format!("{}?{query}", request.path),
    }
}

fn joined(request: &HttpRequest, own: Vec<(&'static str, String)>) -> Vec<(String, String)> {
    let all = request.headers.iter().cloned().chain(own);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    UnixMillis(i64::try_from(since.as_millis()).unwrap())
}
