//! What came with QoS 1 and 2, and how far it is acknowledged.

use super::output::AckToken;
use crate::mqtt::codec::{PacketId, QoS};
use std::collections::VecDeque;

/// How the exchange of a message received with QoS 2 stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The id is free.
    None,
    /// It was told, and not acknowledged by who was told.
    Told,
    /// PUBREC was sent, or may be.
    Acknowledged,
    /// The same, and flash knows of it.
    OnFlash,
}

/// Acknowledgements leave in the order in which the messages came (section 4.6), so an early one
/// waits for those before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    /// Messages of this connection that are not acknowledged to the broker.
    waiting: VecDeque<(PacketId, QoS, bool)>,
    /// How many have left `waiting` at its front.
    base: u64,
    /// The step of each id, two bits each; made when the first message with QoS 2 comes.
    steps: Vec<u8>,
    connection: u32,
    era: u32,
    /// Ids that flash is about to forget.
    pub(super) forgetting: Vec<PacketId>,
}

impl Received {
    pub(super) fn begin_connection(&mut self) {
        self.connection = self.connection.wrapping_add(1);
    }

    /// Messages of this connection that are not acknowledged to the broker.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn end_connection(&mut self) {
        self.base += self.waiting.len() as u64;
        self.waiting.clear();
    }

    /// Forgets all ids; those that flash knows of are told.
    pub(super) fn clear(&mut self) -> Vec<PacketId> {
        let on_flash = self.with_step(|step| step == Step::OnFlash);
        self.steps = Vec::new();
        self.forgetting.clear();
        self.era = self.era.wrapping_add(1);
        on_flash
    }

    /// Ids whose messages need not be told again.
    pub(super) fn acknowledged(&self) -> Vec<PacketId> {
        self.with_step(|step| step == Step::Acknowledged)
    }

    fn with_step(&self, wanted: impl Fn(Step) -> bool) -> Vec<PacketId> {
        if self.steps.is_empty() {
            return Vec::new();
        }
        (1..=u16::MAX)
            .filter_map(PacketId::new)
            .filter(|id| wanted(self.step(*id)))
            .collect()
    }

    pub(super) fn restore(&mut self, id: PacketId, on_flash: bool) {
        self.set_step(
            id,
            match on_flash {
                true => Step::OnFlash,
                false => Step::Acknowledged,
            },
        );
    }

    pub(super) fn step(&self, id: PacketId) -> Step {
        let number = usize::from(id.number());
        match self
            .steps
            .get(number / 4)
            .map(|four| four >> (number % 4 * 2) & 3)
        {
            None | Some(0) => Step::None,
            Some(1) => Step::Told,
            Some(2) => Step::Acknowledged,
            Some(_) => Step::OnFlash,
        }
    }

    pub(super) fn set_step(&mut self, id: PacketId, step: Step) {
        if self.steps.is_empty() {
            self.steps = vec![0; 1 << 14];
        }
        let number = usize::from(id.number());
        let shift = number % 4 * 2;
        let four = &mut self.steps[number / 4];
        *four = *four & !(3 << shift) | (step as u8) << shift;
    }

    /// A message came; it waits for its acknowledgement, or has it.
    pub(super) fn push(&mut self, id: PacketId, qos: QoS, acknowledged: bool) -> AckToken {
        let place = self.base + self.waiting.len() as u64;
        self.waiting.push_back((id, qos, acknowledged));
        AckToken {
            id,
            qos,
            era: self.era,
            connection: self.connection,
            place,
        }
    }

    /// Notes that it is acknowledged; one of an older session of the broker says nothing any more.
    pub(super) fn acknowledge(&mut self, token: AckToken, on_flash: bool) {
        if token.era != self.era {
            return;
        }
        if token.qos == QoS::ExactlyOnce && self.step(token.id) == Step::Told {
            self.restore(token.id, on_flash);
        }
        if token.connection == self.connection {
            let index = token.place.checked_sub(self.base);
            let index = index.and_then(|index| usize::try_from(index).ok());
            if let Some(waiting) = index.and_then(|index| self.waiting.get_mut(index)) {
                waiting.2 = true;
            }
        } else if token.qos == QoS::ExactlyOnce {
            // It came again on this connection before it was acknowledged.
            let again = self.waiting.iter_mut();
            again
                .filter(|(id, qos, _)| (*id, *qos) == (token.id, QoS::ExactlyOnce))
                .for_each(|waiting| waiting.2 = true);
        }
    }

    /// The next one whose acknowledgement may leave.
    pub(super) fn pop_acknowledged(&mut self) -> Option<(PacketId, QoS)> {
        let (id, qos, _) = *self.waiting.front().filter(|waiting| waiting.2)?;
        self.waiting.pop_front();
        self.base += 1;
        Some((id, qos))
    }
}
