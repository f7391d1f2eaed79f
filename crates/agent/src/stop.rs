//! Asking everything to stop, once, in an orderly way.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Turns a set of [`Stop`]s on.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Asked>);

/// Resolves when somebody asked to stop; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Asked>);

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// To stop, and by when that has to be over if somebody said so.
    Stop(Option<Instant>),
}

/// A stopper and what it stops.
pub fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(Asked::Nothing);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks to stop; asking again changes nothing.
    pub fn stop(&self) {
        self.ask(None);
    }

    /// The same; what has not stopped within this time is cut off.
    pub(crate) fn stop_within(&self, time: Duration) {
        self.ask(Some(Instant::now() + time));
    }

    fn ask(&self, by: Option<Instant>) {
        self.0.send_if_modified(|asked| {
            let is_first = *asked == Asked::Nothing;
            if is_first {
                *asked = Asked::Stop(by);
            }
            is_first
        });
    }
}

impl Stop {
    /// Waits until somebody asks to stop, or until nobody is left who could.
    ///
    /// Dropping the future changes nothing.
    pub async fn requested(&mut self) {
        // An error means that the stopper is gone: nobody holds on to this any more.
        let _ = self.0.wait_for(|asked| *asked != Asked::Nothing).await;
    }

    /// Whether somebody asked to stop.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() != Asked::Nothing
    }

    /// When what has not stopped is cut off, if somebody said so.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match *self.0.borrow() {
            Asked::Nothing => None,
            Asked::Stop(by) => by,
        }
    }
}
