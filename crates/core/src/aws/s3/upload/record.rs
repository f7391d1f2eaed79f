//! What an upload needs to go on after a restart, as a row of the database.
//!
//! Its form, field by field, is in `docs/formats/upload.md`.

use super::plan::PartPlan;
use crate::aws::checksum::Algorithm;
use crate::aws::s3::ObjectKey;
use crate::value::{Map, Value};

/// The version of the form.
const VERSION: i64 = 1;

/// An upload on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The bucket.
    pub bucket: String,
    /// The object.
    pub key: ObjectKey,
    /// How it is cut.
    pub plan: PartPlan,
    /// What tells the source apart from one that was changed since: length and time of a file.
    pub source: String,
    /// The checksum that is taken.
    pub checksum: Algorithm,
    /// A text that no other upload has. The object carries it, by which it is known again.
    pub mark: String,
    /// The id that S3 gave the upload, once it is known.
    pub upload_id: Option<String>,
    /// How far it is.
    pub phase: Phase,
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Parts are sent.
    Sending,
    /// The object is being made of them, or already there.
    Completing,
    /// It is given up.
    Aborting,
}

/// Why a row is no upload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A newer program wrote it.
    #[error("an upload in version {0} of its form; this program knows version {VERSION}")]
    Version(i64),
    /// A field is missing or not what it should be.
    #[error("the field {0} of an upload is missing or wrong")]
    Field(&'static str),
}

impl Record {
    /// The row.
    pub fn encode(&self) -> Map {
        let mut row = Map::from([
            ("version", Value::from(VERSION)),
            ("bucket", Value::from(self.bucket.as_str())),
            ("key", Value::from(self.key.as_str())),
            ("length", whole(self.plan.length())),
            ("partBytes", whole(self.plan.part_bytes())),
            ("source", Value::from(self.source.as_str())),
            ("checksum", Value::from(self.checksum.name())),
            ("mark", Value::from(self.mark.as_str())),
            ("phase", Value::from(self.phase.name())),
        ]);
        if let Some(id) = &self.upload_id {
            row.insert("uploadId", id.as_str());
        }
        row
    }

    /// Reads a row.
    ///
    /// # Errors
    /// When it is of a newer version, or damaged.
    pub fn decode(row: &Map) -> Result<Record, RecordError> {
        let version = row.get("version").and_then(Value::as_i64);
        match version.ok_or(RecordError::Field("version"))? {
            VERSION => {}
            other => return Err(RecordError::Version(other)),
        }
        let text = |name: &'static str| {
            let text = row.text(name).map(str::to_owned);
            text.ok_or(RecordError::Field(name))
        };
        let number = |name: &'static str| {
            let number = row.get(name).and_then(Value::as_i64);
            number
                .and_then(|number| u64::try_from(number).ok())
                .ok_or(RecordError::Field(name))
        };
        Ok(Record {
            bucket: text("bucket")?,
            key: ObjectKey::new(text("key")?).map_err(|_| RecordError::Field("key"))?,
            plan: PartPlan::new(number("length")?, number("partBytes")?)
                .map_err(|_| RecordError::Field("partBytes"))?,
            source: text("source")?,
            checksum: [Algorithm::Crc32, Algorithm::Crc64Nvme]
                .into_iter()
                .find(|algorithm| row.text("checksum") == Some(algorithm.name()))
                .ok_or(RecordError::Field("checksum"))?,
            mark: text("mark")?,
            upload_id: row.text("uploadId").map(str::to_owned),
            phase: [Phase::Sending, Phase::Completing, Phase::Aborting]
                .into_iter()
                .find(|phase| row.text("phase") == Some(phase.name()))
                .ok_or(RecordError::Field("phase"))?,
        })
    }
}

fn whole(number: u64) -> Value {
    Value::from(i64::try_from(number).expect("objects are shorter than 2^63 bytes"))
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Phase::Sending => "sending",
            Phase::Completing => "completing",
            Phase::Aborting => "aborting",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            bucket: "abc".into(),
            key: ObjectKey::new("k/ä").unwrap(),
            plan: PartPlan::new(20 << 20, 8 << 20).unwrap(),
            source: "20971520@1795342913667".into(),
            checksum: Algorithm::Crc64Nvme,
            mark: "m".into(),
            upload_id: Some("u".into()),
            phase: Phase::Completing,
        }
    }

    #[test]
    fn a_record_is_written_and_read_back() {
        let record = record();
        let row = record.encode();
        assert_eq!(
            row.to_json(),
            r#"{"bucket":"abc","checksum":"CRC64NVME","key":"k/ä","length":20971520,"mark":"m","partBytes":8388608,"phase":"completing","source":"20971520@1795342913667","uploadId":"u","version":1}"#
        );
        assert_eq!(Record::decode(&row), Ok(record.clone()));
        for phase in [Phase::Sending, Phase::Aborting] {
            let other = Record {
                phase,
                upload_id: None,
                checksum: Algorithm::Crc32,
                ..record.clone()
            };
            assert_eq!(Record::decode(&other.encode()), Ok(other));
        }
    }

    #[test]
    fn a_newer_version_and_damage_are_told_apart() {
        let mut newer = record().encode();
        newer.insert("version", 2);
        assert_eq!(Record::decode(&newer), Err(RecordError::Version(2)));
        let names = [
            "version", "bucket", "key", "length", "source", "checksum", "mark", "phase",
        ];
        for name in names {
            let mut row = record().encode();
            row.insert(name, Value::Null);
            assert_eq!(Record::decode(&row), Err(RecordError::Field(name)));
        }
        let mut row = record().encode();
        row.insert("partBytes", 1);
        assert_eq!(Record::decode(&row), Err(RecordError::Field("partBytes")));
    }
}
