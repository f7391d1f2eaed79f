//! How far a transfer has come, in one line.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::cli::human;
use crate::cli::progress;
use crate::fetch::Progress;

const COLUMNS: usize = 24;

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// Does the work, and tells on a terminal how far it is.
pub(super) async fn watched<T>(
    what: &'static str,
    receiver: watch::Receiver<Progress>,
    work: impl Future<Output = T>,
) -> T {
    let (mut shown, mut work) = (progress::Progress::new(what), pin!(work));
    let begun = Instant::now();
    let mut begun_with = None;
    loop {
        if let Ok(result) = tokio::time::timeout(INTERVAL, &mut work).await {
            return result;
        }
        let now = *receiver.borrow();
        // What an earlier run left says nothing of the rate.
        let before = *begun_with.get_or_insert(now.bytes);
        shown.tell(|| bar(now, now.bytes - before.min(now.bytes), begun.elapsed()));
    }
}

/// `[=====>      ] 45 %, 450.0 MB of 1.0 GB, 32.1 MB/s, 17 s left`, as far as it is known; `moved`
/// is what came within `elapsed`.
fn bar(progress: Progress, moved: u64, elapsed: Duration) -> String {
    let Progress { bytes, length } = progress;
    let rate = rate(moved, elapsed);
    let Some(length) = length.filter(|length| *length >= bytes && *length > 0) else {
        return format!("{}, {}/s", human::size(bytes), human::size(rate));
    };
    // Lengths come from strangers, and may be as long as they like.
    let of = |whole: u64| (u128::from(bytes) * u128::from(whole) / u128::from(length)) as usize;
    let done = of(COLUMNS as u64);
    let head = if done < COLUMNS { ">" } else { "" };
    let left = match (length - bytes).checked_div(rate) {
        Some(seconds) if bytes < length => {
            format!(
                ", {} left",
                human::duration(seconds.saturating_add(1).saturating_mul(1000))
            )
        }
        _ => String::new(),
    };
    format!(
        "[{:<COLUMNS$}] {} %, {} of {}, {}/s{left}",
        format!("{}{head}", "=".repeat(done)),
        of(100),
        human::size(bytes),
        human::size(length),
        human::size(rate)
    )
}

/// Bytes a second.
fn rate(bytes: u64, elapsed: Duration) -> u64 {
    let millis = elapsed.as_millis().max(1);
    u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_what_is_known() {
        let second = Duration::from_secs(1);
        for (bytes, length, text) in [
            (
                0,
                Some(1000),
                "[>                       ] 0 %, 0 bytes of 1.0 kB, 0 bytes/s",
            ),
            (
                500,
                Some(1000),
                "[============>           ] 50 %, 500 bytes of 1.0 kB, 500 bytes/s, 2 s left",
            ),
            (
                1000,
                Some(1000),
                "[========================] 100 %, 1.0 kB of 1.0 kB, 1.0 kB/s",
            ),
            (500, None, "500 bytes, 500 bytes/s"),
            (0, Some(0), "0 bytes, 0 bytes/s"),
            (9, Some(5), "9 bytes, 9 bytes/s"),
        ] {
            assert_eq!(bar(Progress { bytes, length }, bytes, second), text);
        }
        let progress = Progress {
            bytes: u64::MAX - 1,
            length: Some(u64::MAX),
        };
        let huge = bar(progress, 0, Duration::ZERO);
        assert!(huge.contains("99 %"), "{huge}");
    }
}
