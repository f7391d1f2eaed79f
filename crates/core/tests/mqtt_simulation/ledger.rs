//! What was promised, and what became of it.

use periwinkle_core::mqtt::codec::QoS;
use periwinkle_core::mqtt::outbox::Mode;
use periwinkle_core::time::Mono;
use std::collections::BTreeMap;

/// A promise that was not kept.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

/// A message to the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Down {
    pub(crate) number: u64,
    pub(crate) qos: QoS,
}

/// A message of the device.
#[derive(Clone, Debug)]
pub(crate) struct Up {
    pub(crate) topic: usize,
    pub(crate) qos: QoS,
    pub(crate) mode: Mode,
    pub(crate) taken: Mono,
    /// It must arrive.
    pub(crate) promised: bool,
    /// The broker lost it, whatever is promised later.
    pub(crate) excused: bool,
    /// It may arrive twice although it has QoS 2.
    pub(crate) excused_twice: bool,
    pub(crate) arrived: u64,
    /// When it is of no use any more.
    pub(crate) expires: Option<Mono>,
    /// Flash has it, as the device was told.
    pub(crate) kept: bool,
    /// It was dropped while it waited, so it must not come.
    pub(crate) dropped: bool,
    /// The device does not know it any more; if the broker still has it, it may come at any time.
    pub(crate) orphan: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) up: BTreeMap<u64, Up>,
    /// How often a message to the device was told, or for a durable subscription kept.
    told: BTreeMap<u64, u64>,
    sent: BTreeMap<u64, QoS>,
    excused: BTreeMap<u64, ()>,
    told_twice_excused: BTreeMap<u64, ()>,
    /// Messages to the device may get lost from now on.
    pub(crate) unsure_down: bool,
    /// The last first arrival of each topic and quality of service.
    last: BTreeMap<(usize, QoS), u64>,
}

impl Ledger {
    pub(crate) fn note_up(&mut self, number: u64) -> Result<(), Broken> {
        let up = self.up.get_mut(&number).expect("only we publish");
        up.arrived += 1;
        if up.dropped {
            return Err(Broken(format!("{number} arrived though it was dropped")));
        }
        if up.arrived == 1 && up.orphan {
            return Ok(());
        }
        if up.arrived == 1 {
            let last = self.last.insert((up.topic, up.qos), number).unwrap_or(0);
            if last > number {
                return Err(Broken(format!(
                    "{number} arrived after {last} of its topic"
                )));
            }
            return Ok(());
        }
        match up.qos {
            QoS::ExactlyOnce if !up.excused_twice => Err(Broken(format!("{number} arrived twice"))),
            QoS::AtMostOnce => Err(Broken(format!("{number} with QoS 0 arrived twice"))),
            _ => Ok(()),
        }
    }

    pub(crate) fn note_down(&mut self, down: Down) {
        self.sent.insert(down.number, down.qos);
    }

    pub(crate) fn note_told(&mut self, number: u64) -> Result<(), Broken> {
        let told = self.told.entry(number).or_default();
        *told += 1;
        let twice = *told > 1 && self.sent[&number] == QoS::ExactlyOnce;
        match twice && !self.told_twice_excused.contains_key(&number) {
            true => Err(Broken(format!("{number} was told twice"))),
            false => Ok(()),
        }
    }

    /// The broker lost it, and the device cannot know.
    pub(crate) fn excuse_up(&mut self, number: u64) {
        if let Some(up) = self.up.get_mut(&number) {
            up.promised = false;
            up.excused = true;
        }
    }

    /// It is on flash.
    pub(crate) fn promise(&mut self, number: u64) {
        if let Some(up) = self.up.get_mut(&number) {
            up.promised = !up.excused;
            up.kept = true;
        }
    }

    /// The device says that it could not write it to flash.
    pub(crate) fn refuse_up(&mut self, number: u64) -> Result<(), Broken> {
        let up = self.up.get_mut(&number).expect("only we publish");
        if up.mode == Mode::Spill || up.kept {
            return Err(Broken(format!("{number} was accepted, and then refused")));
        }
        // A sync that failed may have written it, and a kill may come before it is removed.
        up.orphan = true;
        up.promised = false;
        Ok(())
    }

    /// The device says that it has expired while it waited.
    pub(crate) fn expire_up(&mut self, number: u64, now: Mono) -> Result<(), Broken> {
        let up = self.up.get_mut(&number).expect("only we publish");
        if up.expires.is_none_or(|expires| now < expires) {
            return Err(Broken(format!("{number} was dropped before its time")));
        }
        up.promised = false;
        up.dropped = true;
        Ok(())
    }

    /// A new life of the device. It tells nobody of messages that expire in it, and one that flash
    /// had may have been on its way already.
    pub(crate) fn begin_life(&mut self) {
        for up in self.up.values_mut() {
            up.dropped = false;
            up.promised &= up.expires.is_none();
        }
    }

    /// The broker lost it, or never had it.
    pub(crate) fn excuse_down(&mut self, number: u64) {
        self.excused.insert(number, ());
    }

    /// The broker forgot what it had of messages that were on their way, and what it had sent.
    pub(crate) fn excuse_twice(&mut self) {
        for up in self.up.values_mut() {
            up.excused_twice = true;
        }
    }

    /// The device was killed: what it had told, but not kept, may be told again.
    pub(crate) fn excuse_told_twice(&mut self) {
        for number in self.told.keys() {
            self.told_twice_excused.insert(*number, ());
        }
    }

    /// Everything promised has happened.
    pub(crate) fn check(&self) -> Result<(), Broken> {
        for (number, up) in &self.up {
            if up.promised && up.qos != QoS::AtMostOnce && up.arrived == 0 {
                return Err(Broken(format!("{number} was lost: {up:?}")));
            }
        }
        for number in self.sent.keys() {
            let excused = self.unsure_down || self.excused.contains_key(number);
            if !excused && !self.told.contains_key(number) {
                return Err(Broken(format!("{number} was never told")));
            }
        }
        Ok(())
    }
}
