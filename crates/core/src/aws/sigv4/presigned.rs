//! How long a presigned address can be used.

use crate::aws::Credentials;
use crate::limits;
use crate::time::UnixMillis;
use std::time::Duration;

/// The life of a presigned address: whole seconds, from one to those of seven days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PresignedLife {
    seconds: u64,
}

/// Why an address cannot live as long as was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a presigned address lives from 1 second to 7 days, not {} s", asked.as_secs_f64())]
pub struct LifeError {
    /// What was asked.
    pub asked: Duration,
}

impl PresignedLife {
    /// A life of that many whole seconds; a fraction is cut off.
    ///
    /// # Errors
    /// When it is shorter than a second or longer than AWS accepts.
    pub fn new(life: Duration) -> Result<PresignedLife, LifeError> {
        let fits = life.as_secs() >= 1 && life <= limits::PRESIGNED_LIFE_MAX;
        fits.then_some(PresignedLife {
            seconds: life.as_secs(),
        })
        .ok_or(LifeError { asked: life })
    }

    /// The value of `X-Amz-Expires`.
    pub const fn seconds(self) -> u64 {
        self.seconds
    }

    /// Until when an address signed at `at` works: temporary keys take theirs with them.
    pub fn until(self, at: UnixMillis, credentials: &Credentials) -> UnixMillis {
        let end = at.plus(Duration::from_secs(self.seconds));
        credentials
            .expires
            .map_or(end, |keys_expire| end.min(keys_expire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lives_from_one_second_to_seven_days() {
        let life = |millis| PresignedLife::new(Duration::from_millis(millis));
        let week = 7 * 24 * 3600 * 1000;
        assert_eq!(life(999).map_err(|error| error.asked.as_millis()), Err(999));
        let words = "a presigned address lives from 1 second to 7 days, not 0 s";
        assert_eq!(
            life(0).map_err(|error| error.to_string()),
            Err(words.into())
        );
        assert_eq!(life(1000).map(PresignedLife::seconds), Ok(1));
        assert_eq!(life(week).map(PresignedLife::seconds), Ok(604_800));
        assert!(life(week + 1).is_err());
    }

    #[test]
    fn temporary_keys_end_the_life_of_what_they_signed() {
        let life = PresignedLife::new(Duration::from_secs(60)).unwrap();
        let lasting = Credentials::new("A", "s");
        let short = Credentials {
            expires: Some(UnixMillis(31_000)),
            ..lasting.clone()
        };
        assert_eq!(life.until(UnixMillis(1000), &lasting), UnixMillis(61_000));
        assert_eq!(life.until(UnixMillis(1000), &short), UnixMillis(31_000));
    }
}
