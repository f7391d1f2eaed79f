//! Uploads in parts against a model of S3, over a network that loses requests and answers, on a
//! device that is killed and started again. Every run follows from its seed.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use periwinkle_core::aws::checksum::{Algorithm, Checksum, Value};
use periwinkle_core::aws::s3::upload::{
    Answer, Failure, Outcome, Output, PartPlan, Phase, Record, Request, Upload,
};
use periwinkle_core::aws::s3::{CompletedPart, ListedPart, ObjectKey, PartPage};
use periwinkle_core::limits;
use periwinkle_core::time::Mono;
use periwinkle_testkit::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SEEDS: u64 = 3000;
const MARK: &str = "mark of this upload";
const PART: u64 = limits::S3_PART_BYTES_MIN;
/// Events of one run; a run that needs more does not end.
const EVENTS_MAX: u32 = 20_000;

/// What a part holds: the model needs no bytes, only something that follows from them.
fn part_checksum(plan: PartPlan, number: u32) -> Value {
    let (offset, bytes) = plan.range(number);
    Checksum::of(Algorithm::Crc64Nvme, format!("{offset}+{bytes}").as_bytes())
}

/// S3 with one bucket and one key.
#[derive(Default)]
struct Server {
    uploads: BTreeMap<String, BTreeMap<u32, (String, u64, Value)>>,
    created: u32,
    /// Uploads whose id was told to somebody.
    told: BTreeSet<String>,
    etags: u32,
    /// The mark, the checksum and the number of parts of the object.
    object: Option<(String, Value, usize)>,
    /// How often the object was made.
    made: u32,
    /// Whether lists show checksums, as S3 does and some stand-ins do not.
    shows_checksums: bool,
    /// Whether the last step can be repeated for a while.
    forgiving: Option<String>,
    page: usize,
}

impl Server {
    fn serve(&mut self, request: &Request, record: &Record, rng: &mut Rng) -> Answer {
        let id = record.upload_id.clone().unwrap_or_default();
        match request {
            Request::Create => {
                self.created += 1;
                let upload_id = format!("u{}", self.created);
                self.uploads.insert(upload_id.clone(), BTreeMap::new());
                Answer::Created { upload_id }
            }
            Request::List { after } => self.list(&id, *after),
            Request::Part { number, bytes, .. } => {
                let checksum = part_checksum(record.plan, *number);
                self.etags += 1;
                let etag = format!("\"e{}\"", self.etags);
                match self.uploads.get_mut(&id) {
                    Some(parts) => {
                        parts.insert(*number, (etag.clone(), *bytes, checksum));
                        Answer::Sent { etag, checksum }
                    }
                    None => Answer::Failed(Failure::NoSuchUpload),
                }
            }
            Request::Hash { number, .. } => Answer::Hashed(part_checksum(record.plan, *number)),
            Request::Complete { parts, checksum } => self.complete(&id, parts, *checksum, rng),
            Request::Head => Answer::Mark(self.object.as_ref().map(|object| object.0.clone())),
            Request::Abort => match self.uploads.remove(&id) {
                Some(_) => Answer::Aborted,
                None => Answer::Failed(Failure::NoSuchUpload),
            },
        }
    }

    fn list(&self, id: &str, after: Option<u32>) -> Answer {
        let Some(parts) = self.uploads.get(id) else {
            return Answer::Failed(Failure::NoSuchUpload);
        };
        let mut rest = parts.range(after.map_or(0, |after| after + 1)..);
        let page: Vec<ListedPart> = rest
            .by_ref()
            .take(self.page)
            .map(|(number, (etag, bytes, checksum))| ListedPart {
                number: *number,
                bytes: *bytes,
                etag: etag.clone(),
                checksum: self.shows_checksums.then_some(*checksum),
            })
            .collect();
        let next = rest.next().and(page.last()).map(|part| part.number);
        Answer::Listed(PartPage { parts: page, next })
    }

    fn complete(
        &mut self,
        id: &str,
        parts: &[CompletedPart],
        checksum: Value,
        rng: &mut Rng,
    ) -> Answer {
        if self.forgiving.as_deref() == Some(id) {
            return Answer::Completed;
        }
        let Some(held) = self.uploads.get(id) else {
            return Answer::Failed(Failure::NoSuchUpload);
        };
        let same = |part: &CompletedPart| {
            held.get(&part.number)
                .is_some_and(|(etag, _, value)| *etag == part.etag && Some(*value) == part.checksum)
        };
        if !parts.iter().all(same) {
            return Answer::Failed(Failure::InvalidPart);
        }
        self.uploads.remove(id);
        self.object = Some((MARK.to_owned(), checksum, parts.len()));
        self.made += 1;
        if rng.one_in(2) {
            self.forgiving = Some(id.to_owned());
        }
        Answer::Completed
    }
}

/// What can go wrong in a run, each once in so many times.
struct Weather {
    lost_request: u64,
    lost_answer: u64,
    kill: u64,
    throttle: u64,
    lost_upload: u64,
    cancel: Option<u32>,
}

struct Run {
    rng: Rng,
    weather: Weather,
    server: Server,
    plan: PartPlan,
    /// What is on the disk.
    disk: Option<Record>,
    now: Mono,
    /// How often each part was sent, and how often the machine could not know of it.
    sent: BTreeMap<u32, u32>,
    excused: BTreeMap<u32, u32>,
    cancelled: bool,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut rng = Rng::new(seed);
        let parts = 1 + rng.below(12);
        let length = parts * PART - rng.below(PART);
        let mut rare = |often: u64| [0, often, 4 * often][rng.index(3)];
        let weather = Weather {
            lost_request: rare(4),
            lost_answer: rare(4),
            kill: rare(10),
            throttle: rare(5),
            lost_upload: rare(40),
            cancel: None,
        };
        let cancel = rng.one_in(8).then(|| rng.below(40) as u32);
        let server = Server {
            shows_checksums: rng.one_in(2),
            page: 1 + rng.index(5),
            ..Server::default()
        };
        Run {
            weather: Weather { cancel, ..weather },
            rng,
            server,
            plan: PartPlan::new(length, PART).unwrap(),
            disk: None,
            now: Mono::ZERO,
            sent: BTreeMap::new(),
            excused: BTreeMap::new(),
            cancelled: false,
        }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.rng.one_in(one_in)
    }

    fn record(&self) -> Record {
        Record {
            bucket: "bucket".to_owned(),
            key: ObjectKey::new("key").unwrap(),
            plan: self.plan,
            source: "s".to_owned(),
            checksum: Algorithm::Crc64Nvme,
            mark: MARK.to_owned(),
            upload_id: None,
            phase: Phase::Sending,
        }
    }

    fn begin(&self) -> Upload {
        match &self.disk {
            Some(record) => Upload::resume(Record::decode(&record.encode()).unwrap()),
            None => Upload::start(self.record()),
        }
    }

    /// Runs to the end of the upload.
    fn run(&mut self) -> Outcome {
        let mut upload = self.begin();
        let mut flying: Vec<(u64, Request, Record)> = Vec::new();
        for event in 0..EVENTS_MAX {
            if self.weather.cancel == Some(event) {
                self.cancelled = true;
                upload.cancel();
            }
            let kill = self.weather.kill * 5;
            if self.chance(kill) {
                self.kill(&mut flying);
                upload = self.begin();
                if self.cancelled {
                    upload.cancel();
                }
            }
            match upload.poll_output(self.now) {
                Some(Output::Save(record)) => {
                    self.disk = Some(record);
                    let kill = self.weather.kill;
                    if self.chance(kill) {
                        self.kill(&mut flying);
                        upload = self.begin();
                    } else {
                        upload.handle_saved();
                    }
                }
                Some(Output::Request { id, request }) => {
                    self.check_request(&request, &flying);
                    flying.push((id, request, upload.record().clone()));
                }
                Some(Output::Finished(Outcome::Paused)) => {
                    assert!(flying.is_empty(), "paused with requests on their way");
                    self.now = self.now + Duration::from_secs(60);
                    upload = self.begin();
                }
                Some(Output::Finished(outcome)) => {
                    assert!(flying.is_empty(), "ended with requests on their way");
                    self.disk = None;
                    return outcome;
                }
                None if flying.is_empty() => {
                    let (at, _) = upload.poll_timeout().expect("something has to come");
                    assert!(at > self.now, "the machine asks for a time that has passed");
                    self.now = at;
                }
                None => {
                    let next = self.rng.index(flying.len());
                    let (id, request, record) = flying.swap_remove(next);
                    let answer = self.exchange(&request, &record);
                    let random = self.rng.next_u64();
                    upload.handle_answer(id, answer, self.now, random);
                    self.now = self.now + Duration::from_millis(self.rng.below(50));
                }
            }
        }
        panic!("the upload does not end");
    }

    /// The power goes: what is on its way may or may not arrive.
    fn kill(&mut self, flying: &mut Vec<(u64, Request, Record)>) {
        for (_, request, record) in flying.drain(..) {
            if self.rng.one_in(2) {
                self.serve(&request, &record);
            }
            self.excuse(&request);
        }
    }

    fn exchange(&mut self, request: &Request, record: &Record) -> Answer {
        let retry = |throttled| {
            Answer::Failed(Failure::Retry {
                throttled,
                after: None,
            })
        };
        let local = matches!(request, Request::Hash { .. });
        if !local && self.chance(self.weather.lost_request) {
            return retry(false);
        }
        if !local && self.chance(self.weather.throttle) {
            return retry(true);
        }
        if self.chance(self.weather.lost_upload) && self.server.created < 3 {
            // A rule of the bucket removes what is incomplete.
            self.server.uploads.clear();
            self.excused.clear();
            self.sent.clear();
        }
        let answer = self.serve(request, record);
        if !local && self.chance(self.weather.lost_answer) {
            self.excuse(request);
            return retry(false);
        }
        if let Answer::Created { upload_id } = &answer {
            self.server.told.insert(upload_id.clone());
            // Another upload, other parts.
            self.sent.clear();
            self.excused.clear();
        }
        answer
    }

    fn serve(&mut self, request: &Request, record: &Record) -> Answer {
        if let Request::Part { number, .. } = request {
            *self.sent.entry(*number).or_default() += 1;
        }
        self.server.serve(request, record, &mut self.rng)
    }

    fn excuse(&mut self, request: &Request) {
        if let Request::Part { number, .. } = request {
            *self.excused.entry(*number).or_default() += 1;
        }
    }

    fn check_request(&self, request: &Request, flying: &[(u64, Request, Record)]) {
        let bytes = |request: &Request| match request {
            Request::Part { bytes, .. } | Request::Hash { bytes, .. } => *bytes,
            _ => 0,
        };
        let held: u64 = flying.iter().map(|(_, request, _)| bytes(request)).sum();
        assert!(held + bytes(request) <= limits::UPLOAD_FLIGHT_BYTES_MAX);
        assert!(flying.len() < limits::UPLOAD_PARALLEL_PARTS_MAX as usize);
        if let Request::Complete { parts, .. } = request {
            let numbers: Vec<u32> = parts.iter().map(|part| part.number).collect();
            assert_eq!(numbers, (1..=self.plan.parts()).collect::<Vec<u32>>());
            assert_eq!(
                self.disk.as_ref().map(|record| record.phase),
                Some(Phase::Completing),
                "the last step begins before the disk knows"
            );
        }
    }

    fn check_end(&self, outcome: &Outcome) {
        let whole = periwinkle_core::aws::checksum::full_object(
            Algorithm::Crc64Nvme,
            (1..=self.plan.parts())
                .map(|number| (part_checksum(self.plan, number), self.plan.range(number).1)),
        );
        let expected = (MARK.to_owned(), whole, self.plan.parts() as usize);
        match outcome {
            Outcome::Done => {
                assert_eq!(self.server.made, 1, "the object was made once");
                assert_eq!(self.server.object, Some(expected));
            }
            Outcome::Cancelled => {
                assert!(self.cancelled);
                assert!(self.server.made <= 1);
            }
            // S3 lost the upload too often for one life.
            Outcome::Refused(words) => assert_eq!(words, "S3 loses the upload"),
            other => panic!("{other:?}"),
        }
        for (number, sent) in &self.sent {
            let excused = self.excused.get(number).copied().unwrap_or_default();
            assert!(
                *sent <= 1 + excused,
                "part {number} was sent {sent} times, {excused} lost"
            );
        }
        let left: Vec<&String> = self.server.uploads.keys().collect();
        let known: Vec<&&String> = left
            .iter()
            .filter(|id| self.server.told.contains(**id))
            .collect();
        let lives = self.weather.kill > 0;
        assert!(
            known.is_empty() || lives,
            "an upload was left behind: {known:?}"
        );
    }
}

#[test]
fn every_upload_ends_with_one_object_or_with_nothing_left() {
    let mut ends = BTreeMap::new();
    for seed in 0..SEEDS {
        let checked = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            let outcome = run.run();
            run.check_end(&outcome);
            outcome
        });
        match checked {
            Ok(outcome) => *ends.entry(format!("{outcome:?}")).or_insert(0) += 1,
            Err(_) => panic!("seed {seed}"),
        }
    }
    // The runs would prove little if they were all alike.
    assert!(ends["Done"] > SEEDS / 2, "{ends:?}");
    assert!(ends["Cancelled"] > SEEDS / 100, "{ends:?}");
}

#[test]
fn nothing_is_sent_twice_where_nothing_is_lost() {
    let mut run = Run::new(1);
    run.weather = Weather {
        lost_request: 0,
        lost_answer: 0,
        kill: 0,
        throttle: 0,
        lost_upload: 0,
        cancel: None,
    };
    assert_eq!(run.run(), Outcome::Done);
    assert!(run.sent.values().all(|sent| *sent == 1));
    assert_eq!(run.sent.len(), run.plan.parts() as usize);
    assert_eq!((run.server.created, run.server.made), (1, 1));
    assert!(run.server.uploads.is_empty());
}
