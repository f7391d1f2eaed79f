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
use periwinkle_core::config::{self, Expiry};
use periwinkle_core::limits;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::DbError;
use periwinkle_db::engine::Durability;
use tokio::task::spawn_blocking;

use super::drive::abort_parts;
use super::error::UploadError;
use super::hub::{End, Hub};
use super::row::{Row, State, UPLOAD, UPLOAD_FILE};

/// Removes rows of uploads that ended, drops those that wait for too long, and forgets files that
/// are gone; what could not be removed or given up before is tried again. Does nothing by age while
/// the time cannot be trusted. Gives how many rows have something left to be cleared.
pub(super) async fn clear_ended(hub: &Hub) -> usize {
    let cleared = try_clear_ended(hub).await;
    cleared.unwrap_or_else(|error| {
        tracing::debug!("rows of uploads are not cleared for now: {error}");
        0
    })
}

async fn try_clear_ended(hub: &Hub) -> Result<usize, UploadError> {
    let now = hub.trusted_ms();
    let rows = hub.rows()?;
    for row in rows.iter().filter(|row| row.state == State::Waiting) {
        match (row.created_ms, now) {
            // Its age is counted from the first moment whose time is known.
            (None, Some(now)) => stamp(hub, UPLOAD, "created_ms", &row.id, now)?,
            _ if is_older(row.created_ms, hub.config.queue_age_max, now) => {
                expire(hub, row).await?;
            }
            _ => {}
        }
    }
    let rows = hub.rows()?;
    let ended = rows.iter().filter(|row| row.state != State::Waiting);
    let ended: Vec<&Row> = ended.collect();
    let left = remove_left(hub, &ended).await + give_up_parts(hub, &ended).await?;
    forget_ended(hub, now)?;
    forget_files(hub, now).await?;
    Ok(left)
}

/// Removes the files of uploads that have ended whose removal failed before. What is read may not
/// be on the disk yet, or never come there: a file goes only when the end of its upload has.
async fn remove_left(hub: &Hub, ended: &[&Row]) -> usize {
    let left: Vec<_> = ended.iter().filter(|row| row.left).collect();
    if !left.is_empty() && hub.db.flush().durable().await.is_err() {
        return left.len();
    }
    let (mut files, mut why) = (0, None);
    for row in left {
        let is_there = hub.row(&row.id).is_ok_and(|now| now.left);
        if !is_there {
            continue;
        }
        if let Err(error) = hub.remove_file(row).await {
            files += 1;
            why.get_or_insert_with(|| format!("{}: {error}", row.file.display()));
        }
    }
    hub.log_left(files, why);
    files
}

/// Gives up what S3 has of uploads that have ended, for as long as their rows are remembered.
async fn give_up_parts(hub: &Hub, ended: &[&Row]) -> Result<usize, UploadError> {
    let with_parts: Vec<_> = ended.iter().filter(|row| row.record.is_some()).collect();
    let mut given_up = 0;
    for row in &with_parts {
        match abort_parts(hub, row).await {
            Ok(()) => {
                given_up += 1;
                let change = Map::from([
                    ("id", Value::from(row.id.as_str())),
                    ("record", Value::Null),
                ]);
                hub.db
                    .durability(Durability::Relaxed)
                    .update(UPLOAD, &change)?;
            }
            Err(error @ UploadError::Refused(_)) => {
                tracing::debug!(key = %row.key, "S3 still has parts of it: {error}");
            }
            // The others would not be reached either.
            Err(_) => break,
        }
    }
    Ok(with_parts.len() - given_up)
}

/// Forgets uploads that ended long ago, and the oldest of too many. What could not be removed for
/// as long stays where it is.
fn forget_ended(hub: &Hub, now: Option<i64>) -> Result<(), UploadError> {
    let rows = hub.rows()?;
    let ended = rows.iter().filter(|row| row.state != State::Waiting);
    let ended: Vec<&Row> = ended.collect();
    let beyond = ended.len().saturating_sub(limits::UPLOAD_ENDED_ROWS_MAX);
    let (mut files, mut parts) = (0, 0);
    for (at, row) in ended.into_iter().enumerate() {
        match (row.ended_ms, now) {
            // It ended before the time was known.
            (None, Some(now)) if at >= beyond => stamp(hub, UPLOAD, "ended_ms", &row.id, now)?,
            _ if at < beyond || is_older(row.ended_ms, hub.config.keep, now) => {
                remove(hub, UPLOAD, &row.id)?;
                files += usize::from(row.left);
                parts += usize::from(row.record.is_some());
            }
            _ => {}
        }
    }
    if files + parts > 0 {
        tracing::warn!(
            files,
            parts,
            "uploads that have ended are forgotten, and files of theirs here, or parts at S3, \
             could not be removed"
        );
    }
    Ok(())
}

/// Drops an upload for its age. What S3 has of it is given up afterwards, by what its row keeps.
async fn expire(hub: &Hub, row: &Row) -> Result<(), UploadError> {
    // From here on nobody begins to send it.
    if !hub.queue().remove_waiting(&row.id) {
        return Ok(());
    }
    tracing::warn!(key = %row.key, "an upload is dropped: it waited for longer than queue_age_max");
    let end = End {
        error: Some("it waited for longer than upload.queue_age_max".to_owned()),
        has_parts: true,
        ..End::of(State::Expired)
    };
    let ended = hub.end(row, end).await;
    if ended.is_err() {
        hub.wait_again(row);
    }
    ended.map(drop)
}

/// What was taken of a file that is gone is remembered for a while: a disk that is away for a
/// moment must not make everything on it new.
async fn forget_files(hub: &Hub, now: Option<i64>) -> Result<(), UploadError> {
    let Some(now) = now else {
        return Ok(());
    };
    let mut old = Vec::new();
    for note in hub.all(UPLOAD_FILE)? {
        let (Some(id), Some(file)) = (note.text("id"), note.text("file")) else {
            continue;
        };
        match note.get("taken_ms").and_then(Value::as_i64) {
            // Its age is counted from the first moment whose time is known.
            None => stamp(hub, UPLOAD_FILE, "taken_ms", id, now)?,
            taken if is_older(taken, hub.config.keep, Some(now)) => {
                old.push((id.to_owned(), file.to_owned()));
            }
            _ => {}
        }
    }
    // A disk may be slow to say.
    let gone = spawn_blocking(move || {
        old.retain(|(_, file)| !Path::new(file).exists());
        old
    });
    for (id, _) in gone.await.unwrap_or_default() {
        remove(hub, UPLOAD_FILE, &id)?;
    }
    Ok(())
}

/// How long after a clearing the next one is due, for what becomes old soonest.
pub(super) fn interval(config: &config::Upload) -> Duration {
    let ages = [config.keep, config.queue_age_max];
    let soonest = ages.into_iter().filter_map(Expiry::duration).min();
    let soonest = soonest.unwrap_or(limits::UPLOAD_CLEAR_INTERVAL);
    soonest.clamp(
        limits::UPLOAD_CLEAR_INTERVAL_MIN,
        limits::UPLOAD_CLEAR_INTERVAL,
    )
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

fn stamp(hub: &Hub, model: &str, field: &str, id: &str, now: i64) -> Result<(), UploadError> {
    let change = Map::from([("id", Value::from(id)), (field, Value::from(now))]);
    let db = hub.db.durability(Durability::Relaxed);
    match db.update(model, &change) {
        Ok(_) | Err(DbError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
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
    fn what_becomes_old_soonest_says_how_often_is_cleared() {
        let minute = Duration::from_secs(60);
        let of = |keep: Expiry, queue_age_max: Expiry| {
            interval(&config::Upload {
                keep,
                queue_age_max,
                ..config::Config::default().upload
            })
        };
        let after = |minutes| Expiry::After(minute * minutes);
        assert_eq!(of(after(600), Expiry::Never), minute * 60);
        assert_eq!(of(Expiry::Never, Expiry::Never), minute * 60);
        assert_eq!(of(after(600), after(5)), minute * 5);
        assert_eq!(of(after(1), after(5)), minute);
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
