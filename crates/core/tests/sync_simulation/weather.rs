//! What happens in a history, and how often.

/// SplitMix64, so that a printed seed replays the same history.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// The odds of a history, in percent unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Steps of activity before the quiet.
    pub(crate) steps: u64,
    /// A step is an edit by an application that knows nothing of our metadata.
    pub(crate) plain_edits: u64,
    /// A step is a whole put or a delete by such an application: evidence is erased.
    pub(crate) plain_erasure: u64,
    /// A step is an edit by an application that keeps our metadata.
    pub(crate) aware_edits: u64,
    /// A step is a power cut or a kill.
    pub(crate) crashes: u64,
    /// A step replaces the device's file by an older copy of it.
    pub(crate) restored_files: u64,
    /// A step replaces the table by an older copy of it.
    pub(crate) restored_tables: u64,
    /// A request is lost on its way.
    pub(crate) lost_requests: u64,
    /// A reply is lost on its way.
    pub(crate) lost_replies: u64,
    /// A request arrives a second time, minutes later.
    pub(crate) late_copies: u64,
    /// A request is refused because the table is busy.
    pub(crate) throttles: u64,
    /// A request is done, or not, and answered with an error of the service.
    pub(crate) failures: u64,
    /// The device's clock is off by this many seconds at the start of a life.
    pub(crate) skew_s: i64,
}

/// A device alone with its table, on a bad network, with power cuts.
pub(crate) const ALONE: Weather = Weather {
    steps: 40,
    plain_edits: 0,
    plain_erasure: 0,
    aware_edits: 0,
    crashes: 6,
    restored_files: 0,
    restored_tables: 0,
    lost_requests: 8,
    lost_replies: 12,
    late_copies: 8,
    throttles: 5,
    failures: 5,
    skew_s: 0,
};

/// Others edit the same items.
pub(crate) const SHARED: Weather = Weather {
    plain_edits: 20,
    aware_edits: 10,
    ..ALONE
};

/// Others also delete and replace items, so that evidence of lost replies is erased.
pub(crate) const ERASING: Weather = Weather {
    plain_erasure: 12,
    ..SHARED
};

/// The device's file goes back in time.
pub(crate) const RESTORED_FILE: Weather = Weather {
    restored_files: 4,
    ..ALONE
};

/// The device's file goes back in time while others edit.
pub(crate) const RESTORED_FILE_SHARED: Weather = Weather {
    restored_files: 4,
    ..SHARED
};

/// The table goes back in time.
pub(crate) const RESTORED_TABLE: Weather = Weather {
    restored_tables: 3,
    ..ALONE
};

/// The device's clock is twenty minutes off.
pub(crate) const SKEWED: Weather = Weather {
    skew_s: 1200,
    ..SHARED
};

/// Nothing happens that a test does not do.
pub(crate) const STILL: Weather = Weather {
    crashes: 0,
    lost_requests: 0,
    lost_replies: 0,
    late_copies: 0,
    throttles: 0,
    failures: 0,
    ..ALONE
};
