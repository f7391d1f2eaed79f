//! What happens in a history, and how often.

/// The odds of a history, in percent of its steps unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Steps of activity before the quiet.
    pub(crate) steps: u64,
    /// Steps of the quiet until everything has to have arrived.
    pub(crate) settle_steps: u64,
    /// The connection is cut, anywhere in what is on its way.
    pub(crate) cuts: u64,
    /// The connection leads nowhere from now on, and nobody is told.
    pub(crate) freezes: u64,
    /// The broker restarts and remembers.
    pub(crate) restarts: u64,
    /// The broker restarts and has forgotten everything.
    pub(crate) amnesias: u64,
    /// The device is killed: what is not on flash is gone.
    pub(crate) kills: u64,
    /// The device stops in order and starts again.
    pub(crate) stops: u64,
    /// Received messages are kept on flash before they are acknowledged.
    pub(crate) durable_subscription: bool,
    /// Whoever the messages are for has no room any more, or has again.
    pub(crate) holds: u64,
    /// Messages are acknowledged when it suits their reader.
    pub(crate) late: bool,
    /// How many messages may wait; the oldest of the lowest class make room.
    pub(crate) rows_max: Option<usize>,
    /// The broker closes the connection for some messages.
    pub(crate) poison: bool,
    /// Time passes in each step, and not in one of ten.
    pub(crate) is_slow: bool,
    /// Flash takes no more writes, or takes them again.
    pub(crate) fills: u64,
    /// A sync of flash fails: some of what was committed is there, and nobody knows what.
    pub(crate) sync_faults: u64,
    /// One of so many messages is of no use any more after some seconds.
    pub(crate) expiring: Option<u64>,
}

/// Nothing goes wrong.
pub(crate) const CALM: Weather = Weather {
    steps: 300,
    settle_steps: 4000,
    cuts: 0,
    freezes: 0,
    restarts: 0,
    amnesias: 0,
    kills: 0,
    stops: 0,
    durable_subscription: false,
    holds: 0,
    late: false,
    rows_max: None,
    poison: false,
    is_slow: false,
    fills: 0,
    sync_faults: 0,
    expiring: None,
};

/// Connections break in all ways, and the broker comes back as it was.
pub(crate) const STORMY: Weather = Weather {
    cuts: 4,
    freezes: 1,
    restarts: 1,
    ..CALM
};

/// The broker forgets.
pub(crate) const FORGETFUL: Weather = Weather {
    amnesias: 2,
    ..STORMY
};

/// The device stops in order, in the middle of everything.
pub(crate) const STOPPING: Weather = Weather { stops: 3, ..STORMY };

/// The device is killed.
pub(crate) const KILLED: Weather = Weather {
    kills: 3,
    durable_subscription: true,
    ..STORMY
};

/// Everything at once.
pub(crate) const WILD: Weather = Weather {
    amnesias: 1,
    stops: 1,
    kills: 2,
    ..KILLED
};

/// Readers are slow, and the client stops reading for them.
pub(crate) const HELD: Weather = Weather {
    holds: 5,
    late: true,
    ..STORMY
};

/// The queue is too short.
pub(crate) const CROWDED: Weather = Weather {
    rows_max: Some(6),
    ..STORMY
};

/// Some messages end each connection, and some connections end by themselves.
pub(crate) const POISONED: Weather = Weather {
    poison: true,
    is_slow: true,
    // A message is given up after minutes only.
    settle_steps: 60_000,
    cuts: 1,
    ..CALM
};

/// Connections of a link that is always bad, with time in between.
pub(crate) const FLAKY: Weather = Weather {
    cuts: 5,
    steps: 1500,
    settle_steps: 60_000,
    is_slow: true,
    ..CALM
};

/// Flash is full now and then, and the process lives on.
pub(crate) const FULL: Weather = Weather {
    fills: 4,
    is_slow: true,
    durable_subscription: true,
    ..STORMY
};

/// Syncs of flash fail, and the process lives on.
pub(crate) const FAULTY: Weather = Weather {
    sync_faults: 4,
    ..FULL
};

/// The same with ends of the process, in order and not.
pub(crate) const FAULTY_AND_WILD: Weather = Weather {
    fills: 2,
    sync_faults: 2,
    is_slow: true,
    expiring: Some(5),
    ..WILD
};

/// Messages expire while they wait.
pub(crate) const EXPIRING: Weather = Weather {
    expiring: Some(2),
    is_slow: true,
    stops: 1,
    ..STORMY
};
