//! Asking everything to stop, once, in an orderly way.

use tokio::sync::watch;

/// Turns a set of [`Stop`]s on.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Resolves when somebody asked to stop; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A stopper and what it stops.
pub fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks to stop; asking again changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until somebody asks to stop, or until nobody is left who could.
    ///
    /// Dropping the future changes nothing.
    pub async fn requested(&mut self) {
        // An error means that the stopper is gone: nobody holds on to this any more.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether somebody asked to stop.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}
