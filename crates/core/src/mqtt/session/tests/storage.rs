//! What goes to flash, and what waits for it.

use super::*;
use crate::mqtt::outbox::Mode;

fn durable(it: &mut Session, qos: QoS, tag: u64) {
    let publication = Publication {
        mode: Mode::Durable,
        tag: Some(tag),
        ..Publication::new("t", b"x", qos)
    };
    let now = it.now;
    it.publish(&publication, now).unwrap();
}

/// The tickets of what is to be written, and everything else that is told.
fn tickets(it: &mut Session) -> (Vec<Ticket>, Vec<String>) {
    let (mut tickets, mut rest) = (Vec::new(), Vec::new());
    while let Some(output) = it.poll_output() {
        match output {
            Output::Persist(ticket, _) => tickets.push(ticket),
            other => rest.push(format!("{other:?}")),
        }
    }
    (tickets, rest)
}

/// Everything is written, and what that leads to; the rest of what is told.
fn persist(it: &mut Session) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let (tickets, told) = tickets(it);
        all.extend(told);
        let Some(last) = tickets.last() else {
            return all;
        };
        let now = it.now;
        it.handle_persisted(*last, now);
    }
}

#[test]
fn a_healthy_link_writes_nothing_for_messages_that_are_only_spilled() {
    let mut it = connected(config(), &[]);
    for tag in 1..=50 {
        publish(&mut it, ONE, tag);
        let id = words(&mut it)[0]
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        receive(&mut it, &Packet::Puback(Ack::new(super::id(id))), at(1));
        assert_eq!(tickets(&mut it).0, []);
    }
}

#[test]
fn a_late_acknowledgement_spills_and_a_later_one_removes() {
    let mut it = connected(config(), &[]);
    publish(&mut it, ONE, 1);
    words(&mut it);
    assert_eq!(it.poll_timeout(), Some((at(3), Wake::Spill)));
    it.handle_timeout(at(3));
    let spilled = told(&mut it);
    assert!(
        spilled[0].starts_with("Persist(Ticket(1), Entry"),
        "{spilled:?}"
    );
    receive(&mut it, &Packet::Puback(Ack::new(id(1))), at(4));
    assert_eq!(
        told(&mut it),
        ["Persist(Ticket(2), Remove(1))", "Done(1, Done(Success))"]
    );
}

#[test]
fn a_message_that_was_spilled_is_as_safe_as_one_that_is_durable() {
    let mut it = session(config());
    it.now = at(1);
    publish(&mut it, ONE, 1);
    it.handle_timeout(at(3));
    assert_eq!(persist(&mut it), ["Accepted(1)"]);
}

#[test]
fn a_durable_message_is_accepted_and_leaves_when_flash_has_it() {
    let mut it = connected(config(), &[]);
    durable(&mut it, ONE, 1);
    assert_eq!(words(&mut it), [""; 0]);
    assert_eq!(persist(&mut it), ["Accepted(1)"]);
    assert_eq!(words(&mut it), ["publish 1"]);
}

#[test]
fn durable_qos_2_leaves_and_is_released_only_when_flash_knows() {
    let mut it = connected(config(), &[]);
    durable(&mut it, TWO, 1);
    durable(&mut it, TWO, 2);
    let (accept, _) = tickets(&mut it);
    it.handle_persisted(accept[1], at(1));
    assert_eq!(words(&mut it), [""; 0]);
    // One write serves both.
    let (marks, told) = tickets(&mut it);
    assert_eq!((marks.len(), told.len()), (2, 2));
    it.handle_persisted(marks[1], at(1));
    assert_eq!(words(&mut it), ["publish 1", "publish 2"]);
    receive(&mut it, &Packet::Pubrec(Ack::new(id(1))), at(1));
    let (release, _) = tickets(&mut it);
    assert_eq!(words(&mut it), [""; 0]);
    it.handle_persisted(release[0], at(1));
    assert_eq!(words(&mut it), ["pubrel 1"]);
}

#[test]
fn releases_keep_the_order_of_their_pubrecs() {
    let mut it = connected(config(), &[]);
    durable(&mut it, TWO, 1);
    persist(&mut it);
    persist(&mut it);
    publish(&mut it, TWO, 2);
    assert_eq!(words(&mut it), ["publish 1", "publish 2"]);
    receive(&mut it, &Packet::Pubrec(Ack::new(id(1))), at(1));
    receive(&mut it, &Packet::Pubrec(Ack::new(id(2))), at(1));
    let (release, _) = tickets(&mut it);
    assert_eq!(words(&mut it), [""; 0]);
    it.handle_persisted(release[0], at(1));
    assert_eq!(words(&mut it), ["pubrel 1", "pubrel 2"]);
}

#[test]
fn a_durable_message_that_flash_refuses_is_refused() {
    let mut it = connected(config(), &[]);
    durable(&mut it, ONE, 1);
    publish(&mut it, ONE, 2);
    let (failed, _) = tickets(&mut it);
    it.handle_persist_failed(failed[0], at(1));
    let told = tickets(&mut it).1;
    assert_eq!(told, ["Done(1, Dropped(Storage))"]);
    assert_eq!(words(&mut it), ["publish 1"]);
    assert_eq!(it.outbox().counts().storage, 1);
}

#[test]
fn a_spill_that_fails_is_tried_again_after_a_pause() {
    let mut it = session(config());
    it.now = at(1);
    publish(&mut it, ONE, 1);
    it.handle_timeout(at(3));
    let (failed, _) = tickets(&mut it);
    assert_eq!(failed.len(), 1);
    it.handle_persist_failed(failed[0], at(3));
    assert_eq!(it.poll_timeout(), Some((at(8), Wake::Spill)));
    it.handle_timeout(at(8));
    assert_eq!(tickets(&mut it).0.len(), 1);
    assert_eq!(it.outbox().len(), 1);
}

#[test]
fn a_mark_that_fails_holds_the_message_until_a_later_one_succeeds() {
    let mut it = connected(config(), &[]);
    durable(&mut it, TWO, 1);
    let (accept, _) = tickets(&mut it);
    it.handle_persisted(accept[0], at(1));
    let (marks, _) = tickets(&mut it);
    it.handle_persist_failed(marks[0], at(1));
    assert_eq!(words(&mut it), [""; 0]);
    assert_eq!(it.poll_timeout(), Some((at(6), Wake::Spill)));
    it.handle_timeout(at(6));
    persist(&mut it);
    assert_eq!(words(&mut it), ["publish 1"]);
}

#[test]
fn a_durable_subscription_keeps_the_id_until_it_is_released_and_forgotten() {
    let mut it = connected(config(), &[]);
    let message = Packet::Publish(Publish {
        id: Some(id(9)),
        ..Publish::new("t", TWO)
    });
    receive(&mut it, &message, at(2));
    let token = match it.poll_output() {
        Some(Output::Message(message)) => message.token.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(words(&mut it), [""; 0]);
    it.acknowledge(token, Kept::OnFlash, at(2));
    assert_eq!(words(&mut it), ["pubrec 9"]);
    receive(&mut it, &Packet::Pubrel(Ack::new(id(9))), at(2));
    receive(&mut it, &Packet::Pubrel(Ack::new(id(9))), at(2));
    let (forget, _) = tickets(&mut it);
    assert_eq!(forget.len(), 1);
    assert_eq!(words(&mut it), [""; 0]);
    it.handle_persisted(forget[0], at(2));
    assert_eq!(words(&mut it), ["pubcomp 9"]);
}

#[test]
fn a_new_session_of_the_broker_is_not_read_before_flash_has_forgotten_the_old_ids() {
    let mut it = session(config());
    it.restore_received(&[id(9)], Kept::OnFlash);
    connect(&mut it, false, &[], at(1));
    let message = Packet::Publish(Publish {
        id: Some(id(9)),
        dup: true,
        ..Publish::new("t", TWO)
    });
    receive(&mut it, &message, at(2));
    let (forget, told) = tickets(&mut it);
    assert_eq!((forget.len(), told.len()), (1, 0));
    assert!(!it.wants_read());
    it.handle_persisted(forget[0], at(2));
    assert!(matches!(it.poll_output(), Some(Output::Message(_))));
}

#[test]
fn a_stop_writes_what_must_survive_and_then_says_so() {
    let mut it = connected(config(), &[]);
    publish(&mut it, QoS::AtMostOnce, 1);
    publish(&mut it, ONE, 2);
    publish(&mut it, TWO, 3);
    words(&mut it);
    told(&mut it);
    it.stop(at(2));
    assert_eq!(words(&mut it), ["disconnect -"]);
    let (writes, _) = tickets(&mut it);
    assert_eq!(writes.len(), 3);
    assert_eq!(
        it.publish(&Publication::new("t", b"", ONE), at(2)),
        Err(PublishError::Stopping)
    );
    it.handle_persisted(writes[2], at(2));
    assert_eq!(it.poll_output(), Some(Output::Stopped));
    assert_eq!(it.poll_timeout(), None);
}

#[test]
fn qos_0_cannot_be_durable() {
    let mut it = connected(config(), &[]);
    let publication = Publication {
        mode: Mode::Durable,
        ..Publication::new("t", b"x", QoS::AtMostOnce)
    };
    assert_eq!(
        it.publish(&publication, at(1)),
        Err(PublishError::DurableWithoutQos)
    );
}
