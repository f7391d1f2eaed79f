//! Clearing away: rows of uploads that ended long ago, uploads that became too old, notes of files
//! that are gone, and what S3 has of uploads that nobody goes on with.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use periwinkle_core::aws::ServiceErrorKind;
use periwinkle_core::aws::s3::upload::Record;
use periwinkle_core::aws::s3::{
    AbortMultipartUpload, Bucket, ListUploads, ListedUpload, ObjectKey, S3CallError, UploadsPage,
};
use periwinkle_core::config::Expiry;
use periwinkle_core::limits;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::DbError;
use periwinkle_db::engine::Durability;

use super::error::UploadError;
use super::hub::Hub;
use super::row::{Row, State, UPLOAD, UPLOAD_FILE};

/// Removes rows of uploads that ended, drops those that wait for too long, and forgets files that
/// are gone. Does nothing while the time cannot be trusted, but for the bound on rows.
pub(super) async fn clear_ended(hub: &Hub) {
    if let Err(error) = try_clear_ended(hub).await {
        tracing::debug!("rows of uploads are not cleared for now: {error}");
    }
}

async fn try_clear_ended(hub: &Hub) -> Result<(), UploadError> {
    let now = hub.trusted_ms();
    let rows = hub.rows()?;
    let ended: Vec<&Row> = rows
        .iter()
        .filter(|row| row.state != State::Waiting && !row.left)
        .collect();
    let beyond = ended.len().saturating_sub(limits::UPLOAD_ENDED_ROWS_MAX);
    for (at, row) in ended.into_iter().enumerate() {
        let old = is_older(row.ended_ms, hub.config.keep, now);
        if old || at < beyond {
            remove(hub, UPLOAD, &row.id)?;
        }
    }
    for row in rows.iter().filter(|row| row.state == State::Waiting) {
        match (row.created_ms, now) {
            // Its age is counted from the first moment whose time is known.
            (None, Some(now)) => stamp(hub, &row.id, now)?,
            _ if is_older(row.created_ms, hub.config.queue_age_max, now) => {
                expire(hub, row).await?;
            }
            _ => {}
        }
    }
    forget_files(hub, now)
}

async fn expire(hub: &Hub, row: &Row) -> Result<(), UploadError> {
    if hub.queue().is_sending(&row.id) {
        return Ok(());
    }
    tracing::warn!(key = %row.key, "an upload is dropped: it waited for longer than queue_age_max");
    let why = "it waited for longer than upload.queue_age_max".to_owned();
    hub.end(row, State::Expired, (None, Some(why))).await
}

/// What was taken of a file that is gone is remembered for a while: a disk that is away for a
/// moment must not make everything on it new.
fn forget_files(hub: &Hub, now: Option<i64>) -> Result<(), UploadError> {
    for note in hub.all(UPLOAD_FILE)? {
        let (Some(id), Some(file)) = (note.text("id"), note.text("file")) else {
            continue;
        };
        let taken = note.get("taken_ms").and_then(Value::as_i64);
        let gone = !Path::new(file).exists();
        if gone && is_older(taken, hub.config.keep, now) {
            remove(hub, UPLOAD_FILE, id)?;
        }
    }
    Ok(())
}

fn is_older(since_ms: Option<i64>, age: Expiry, now_ms: Option<i64>) -> bool {
    let (Some(since), Some(now), Some(age)) = (since_ms, now_ms, age.duration()) else {
        return false;
    };
    let passed = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
    Duration::from_millis(passed) >= age
}

fn remove(hub: &Hub, model: &str, id: &str) -> Result<(), UploadError> {
    let db = hub.db.durability(Durability::Relaxed);
    match db.remove(model, &Map::from([("id", id)])) {
        Ok(_) | Err(DbError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn stamp(hub: &Hub, id: &str, now: i64) -> Result<(), UploadError> {
    let change = Map::from([("id", Value::from(id)), ("created_ms", Value::from(now))]);
    let db = hub.db.durability(Durability::Relaxed);
    db.update(UPLOAD, &change)?;
    Ok(())
}

/// Gives up what S3 has of uploads under this device's own prefix that are old and that no row
/// knows: their creation was answered to nobody, or the database was lost.
///
/// Needs a right that the device of `cloud/template.yaml` does not have, for S3 cannot grant it
/// for a prefix only; there a rule of the bucket does the same.
pub(super) async fn clear_orphans(hub: &Hub) {
    match try_clear_orphans(hub).await {
        Ok(0) => {}
        Ok(orphans) => {
            hub.counters.orphans.fetch_add(orphans, Ordering::Relaxed);
            tracing::info!(orphans, "gave up old uploads that nobody goes on with");
        }
        Err(UploadError::Refused(S3CallError::Service(error)))
            if error.kind == ServiceErrorKind::AccessDenied =>
        {
            hub.orphans_told.call_once(|| {
                tracing::info!(
                    "what S3 has of uploads that nobody goes on with is left to the bucket's own \
                     rule: the credentials may not list or remove it \
                     (s3:ListBucketMultipartUploads, s3:AbortMultipartUpload)"
                );
            });
        }
        Err(error) => tracing::debug!("what was left behind at S3 is not cleared: {error}"),
    }
}

async fn try_clear_orphans(hub: &Hub) -> Result<u64, UploadError> {
    let (Some(now), Expiry::After(_)) = (hub.trusted_ms(), hub.config.orphan_age) else {
        return Ok(0);
    };
    let bucket = hub.sender.bucket(&hub.default_bucket()?)?;
    let known = known_ids(hub)?;
    let (mut after, mut given_up) = (None, 0);
    loop {
        let list = ListUploads {
            prefix: format!("{}/", hub.device),
            after,
        };
        let request = list.request(&bucket);
        let page: UploadsPage = hub
            .sender
            .call(&bucket, request, ListUploads::answer)
            .await?;
        for upload in &page.uploads {
            let old = is_older(begun_ms(upload), hub.config.orphan_age, Some(now));
            if old && !known.contains(&upload.upload_id) {
                abort(hub, &bucket, upload).await?;
                given_up += 1;
            }
            if given_up >= limits::UPLOAD_ORPHANS_MAX as u64 {
                return Ok(given_up);
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(given_up),
        }
    }
}

fn known_ids(hub: &Hub) -> Result<BTreeSet<String>, UploadError> {
    let rows = hub.rows()?;
    let waiting = rows.iter().filter(|row| row.state == State::Waiting);
    let records = waiting.filter_map(|row| Record::decode(row.record.as_ref()?).ok());
    Ok(records.filter_map(|record| record.upload_id).collect())
}

fn begun_ms(upload: &ListedUpload) -> Option<i64> {
    let begun: jiff::Timestamp = upload.initiated.parse().ok()?;
    Some(begun.as_millisecond())
}

async fn abort(hub: &Hub, bucket: &Bucket, upload: &ListedUpload) -> Result<(), UploadError> {
    let key = ObjectKey::new(upload.key.as_str())?;
    let abort = AbortMultipartUpload {
        key: &key,
        upload_id: &upload.upload_id,
    };
    let request = abort.request(bucket);
    let answer = AbortMultipartUpload::answer;
    hub.sender.call(bucket, request, answer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_times_make_something_old() {
        let day = Expiry::After(Duration::from_secs(86_400));
        let old = |since, age, now| is_older(since, age, now);
        assert!(old(Some(0), day, Some(86_400_000)));
        assert!(!old(Some(0), day, Some(86_399_999)));
        assert!(!old(Some(0), day, None));
        assert!(!old(None, day, Some(i64::MAX)));
        assert!(!old(Some(0), Expiry::Never, Some(i64::MAX)));
        assert!(!old(Some(86_400_000), day, Some(0)));
    }

    #[test]
    fn the_beginning_of_an_upload_is_read() {
        let upload = ListedUpload {
            key: "k".into(),
            upload_id: "u".into(),
            initiated: "2026-11-22T10:21:53.000Z".into(),
        };
        assert_eq!(begun_ms(&upload), Some(1_795_342_913_000));
    }
}
