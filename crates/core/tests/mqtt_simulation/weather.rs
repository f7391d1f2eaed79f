//! What happens in a history, and how often.

/// The odds of a history, in percent of its steps unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Steps of activity before the quiet.
    pub(crate) steps: u64,
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
}

/// Nothing goes wrong.
pub(crate) const CALM: Weather = Weather {
    steps: 300,
    cuts: 0,
    freezes: 0,
    restarts: 0,
    amnesias: 0,
    kills: 0,
    stops: 0,
    durable_subscription: false,
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
