//! What waits to be uploaded, and which is next.

use std::collections::BTreeMap;

use crate::time::Mono;

/// An upload that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Higher ones go first.
    pub priority: u32,
    /// How many bytes of ours it keeps: none for a file that stays where it is.
    pub kept_bytes: u64,
    /// Not before this time.
    pub not_before: Mono,
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Uploads.
    pub rows_max: u64,
    /// Bytes that are kept for them.
    pub bytes_max: u64,
}

/// Why an upload is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Full {
    /// There are too many.
    #[error("{0} uploads wait, and no more may (`upload.queue_rows_max`)")]
    Rows(u64),
    /// They keep too much.
    #[error(
        "the copies of what waits have {held} bytes, {wanted} more are wanted, and {max} may wait \
         (`upload.queue_bytes_max`)"
    )]
    Bytes {
        /// What is kept by now.
        held: u64,
        /// What is to be added.
        wanted: u64,
        /// The bound.
        max: u64,
    },
}

/// The queue: what waits and what is being sent, by ids that rise with time.
#[derive(Clone, Debug)]
pub struct Queue {
    budget: Budget,
    entries: BTreeMap<String, Waiting>,
    sending: BTreeMap<String, Waiting>,
    /// Places of uploads whose bytes are still being taken in.
    reserved_rows: u64,
    reserved_bytes: u64,
}

impl Queue {
    /// An empty queue.
    pub fn new(budget: Budget) -> Queue {
        Queue {
            budget,
            entries: BTreeMap::new(),
            sending: BTreeMap::new(),
            reserved_rows: 0,
            reserved_bytes: 0,
        }
    }

    /// How many wait or are being sent.
    pub fn rows(&self) -> u64 {
        (self.entries.len() + self.sending.len()) as u64 + self.reserved_rows
    }

    /// How many are being sent.
    pub fn sending(&self) -> usize {
        self.sending.len()
    }

    /// The bytes that are kept for them.
    pub fn bytes(&self) -> u64 {
        let all = self.entries.values().chain(self.sending.values());
        all.map(|entry| entry.kept_bytes).sum::<u64>() + self.reserved_bytes
    }

    /// Whether one more fits.
    ///
    /// # Errors
    /// Which bound it would break.
    pub fn check_room(&self, kept_bytes: u64) -> Result<(), Full> {
        if self.rows() >= self.budget.rows_max {
            return Err(Full::Rows(self.rows()));
        }
        self.check_bytes(kept_bytes)
    }

    /// Keeps a place for one more.
    ///
    /// # Errors
    /// Which bound it would break.
    pub fn reserve(&mut self) -> Result<(), Full> {
        self.check_room(0)?;
        self.reserved_rows += 1;
        Ok(())
    }

    /// Keeps bytes for one that has a place.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn reserve_bytes(&mut self, bytes: u64) -> Result<(), Full> {
        self.check_bytes(bytes)?;
        self.reserved_bytes += bytes;
        Ok(())
    }

    /// Gives a place back with the bytes that were kept for it.
    pub fn give_back(&mut self, bytes: u64) {
        self.reserved_rows = self.reserved_rows.saturating_sub(1);
        self.reserved_bytes = self.reserved_bytes.saturating_sub(bytes);
    }

    /// One more waits. Bounds do not count here: what is on the disk is in the queue.
    pub fn push(&mut self, id: impl Into<String>, waiting: Waiting) {
        self.entries.insert(id.into(), waiting);
    }

    /// The next to be sent: of the highest priority, the oldest.
    pub fn take(&mut self, now: Mono) -> Option<String> {
        let mut best: Option<(&String, u32)> = None;
        for (id, waiting) in &self.entries {
            let better = best.is_none_or(|(_, priority)| waiting.priority > priority);
            if waiting.not_before <= now && better {
                best = Some((id, waiting.priority));
            }
        }
        let id = best?.0.clone();
        let waiting = self.entries.remove(&id).expect("it was just found");
        self.sending.insert(id.clone(), waiting);
        Some(id)
    }

    /// What was taken waits again, until `not_before`.
    pub fn put_back(&mut self, id: &str, not_before: Mono) {
        if let Some(waiting) = self.sending.remove(id) {
            let waiting = Waiting {
                not_before,
                ..waiting
            };
            self.entries.insert(id.to_owned(), waiting);
        }
    }

    /// It is over; whether it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        let waited = self.entries.remove(id).is_some();
        self.sending.remove(id).is_some() || waited
    }

    /// It is over unless it is being sent now; whether it waited.
    pub fn remove_waiting(&mut self, id: &str) -> bool {
        self.entries.remove(id).is_some()
    }

    /// Ends all pauses.
    pub fn hurry(&mut self) {
        for waiting in self.entries.values_mut() {
            waiting.not_before = Mono::ZERO;
        }
    }

    /// When the next one may be sent.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.entries.values().map(|entry| entry.not_before).min()
    }

    fn check_bytes(&self, wanted: u64) -> Result<(), Full> {
        let (held, max) = (self.bytes(), self.budget.bytes_max);
        match held.checked_add(wanted) {
            Some(sum) if sum <= max => Ok(()),
            // What keeps nothing is not refused for what others keep.
            _ if wanted == 0 => Ok(()),
            _ => Err(Full::Bytes { held, wanted, max }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    fn waiting(priority: u32, kept_bytes: u64) -> Waiting {
        Waiting {
            priority,
            kept_bytes,
            not_before: Mono::ZERO,
        }
    }

    fn queue(rows_max: u64, bytes_max: u64) -> Queue {
        Queue::new(Budget {
            rows_max,
            bytes_max,
        })
    }

    #[test]
    fn the_highest_priority_goes_first_and_of_it_the_oldest() {
        let mut queue = queue(10, 10);
        for (id, priority) in [("3", 5), ("1", 5), ("2", 9), ("4", 0)] {
            queue.push(id, waiting(priority, 0));
        }
        let order: Vec<String> = std::iter::from_fn(|| queue.take(at(0))).collect();
        assert_eq!(order, ["2", "1", "3", "4"]);
        assert_eq!((queue.rows(), queue.sending()), (4, 4));
        assert!(!queue.remove_waiting("1"), "it is being sent");
        assert!(queue.remove("1") && !queue.remove("1"));
        assert_eq!(queue.rows(), 3);
    }

    #[test]
    fn a_pause_gives_the_place_to_others_and_ends() {
        let mut queue = queue(10, 10);
        queue.push("1", waiting(9, 0));
        queue.push("2", waiting(5, 0));
        assert_eq!(queue.take(at(0)).as_deref(), Some("1"));
        queue.put_back("1", at(60));
        assert_eq!(queue.take(at(59)).as_deref(), Some("2"));
        assert_eq!(queue.take(at(59)), None);
        assert_eq!(queue.poll_timeout(), Some(at(60)));
        assert_eq!(queue.take(at(60)).as_deref(), Some("1"));
        queue.put_back("1", at(600));
        queue.hurry();
        assert_eq!(queue.take(at(61)).as_deref(), Some("1"));
    }

    #[test]
    fn the_budget_is_taken_to_its_bound_and_not_beyond() {
        let mut queue = queue(2, 100);
        queue.reserve().unwrap();
        queue.reserve_bytes(60).unwrap();
        queue.reserve_bytes(40).unwrap();
        assert_eq!(
            queue.reserve_bytes(1),
            Err(Full::Bytes {
                held: 100,
                wanted: 1,
                max: 100
            })
        );
        queue.give_back(100);
        queue.push("1", waiting(5, 100));
        // A file that stays where it is needs a row only.
        assert_eq!(queue.check_room(0), Ok(()));
        queue.push("2", waiting(5, 0));
        assert_eq!(queue.reserve(), Err(Full::Rows(2)));
        queue.take(at(0));
        assert_eq!(queue.reserve(), Err(Full::Rows(2)));
        queue.remove("1");
        assert_eq!((queue.rows(), queue.bytes()), (1, 0));
        assert_eq!(queue.reserve(), Ok(()));
    }
}
