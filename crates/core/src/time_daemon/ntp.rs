//! The question of an NTP client (RFC 5905, section 7.3), put to a daemon on this machine.
//!
//! What it answers as its own time is compared with the system's clock, for a server may keep
//! another clock than that.

use super::{Answer, is_near, number};
use crate::time::UnixMillis;

/// Where such daemons listen.
pub const PORT: u16 = 123;

/// Length of question and answer, without what may follow.
pub const PACKET_BYTES: usize = 48;

const VERSION: u8 = 4;
const CLIENT: u8 = 3;
const SERVER: u8 = 4;
/// The leap indicator of one who does not know the time.
const NOT_SYNCHRONIZED: u8 = 3;
const STRATUM_MAX: u8 = 15;
/// How a daemon names its own clock.
const OWN_CLOCK: [u8; 4] = *b"LOCL";
const LOOPBACK: u8 = 127;
/// From 1900 to 1970.
const SECONDS_TO_1970: i64 = 2_208_988_800;

/// The question; the answer bears the same number.
pub fn encode_question(number: u64) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    packet[0] = (VERSION << 3) | CLIENT;
    packet[40..48].copy_from_slice(&number.to_be_bytes());
    packet
}

/// Reads an answer that came when the system's clock showed `system`; `None` if it is none to that
/// question.
pub fn parse_answer(packet: &[u8], question: u64, system: UnixMillis) -> Option<Answer> {
    if packet.len() < PACKET_BYTES {
        return None;
    }
    let stamp = |at| u64::from_be_bytes(number(packet, at));
    let is_ours = packet[0] & 7 == SERVER && stamp(24) == question;
    if !is_ours {
        return None;
    }
    let (reference, received, sent) = (stamp(16), stamp(32), stamp(40));
    let knows = packet[0] >> 6 != NOT_SYNCHRONIZED
        && (1..=STRATUM_MAX).contains(&packet[1])
        && goes_by_another(number(packet, 12))
        // One that says so of every moment has heard of nobody.
        && reference != 0
        && reference != received;
    let short = |at| f64::from(u32::from_be_bytes(number(packet, at))) / 65_536.0;
    let ahead_ms = time(sent, system).0.abs_diff(system.0);
    // The way to its server and back, what may have gone wrong since, and the other clock.
    let off = short(4) / 2.0 + short(8) + ahead_ms as f64 / 1000.0;
    Some(match knows && is_near(off) {
        true => Answer::Right(time(reference, system)),
        false => Answer::NotKnown,
    })
}

/// Whether the reference is somebody's clock, and not the one that is to be set.
fn goes_by_another(reference: [u8; 4]) -> bool {
    reference != OWN_CLOCK && reference != [0; 4] && reference[0] != LOOPBACK
}

/// The time of a stamp, which counts seconds in 32 bits and the rest in 32 more: of all that it
/// may mean, the one that is nearest to `near`.
fn time(stamp: u64, near: UnixMillis) -> UnixMillis {
    let seconds = (stamp >> 32) as u32;
    let millis = ((stamp & 0xffff_ffff) * 1000) >> 32;
    let expected = near.0.div_euclid(1000).saturating_add(SECONDS_TO_1970);
    let ahead = seconds.wrapping_sub(expected as u32).cast_signed();
    let seconds = near.0.div_euclid(1000).saturating_add(i64::from(ahead));
    UnixMillis(seconds.saturating_mul(1000).saturating_add(millis as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hex, limits};

    const NUMBER: u64 = 0x0001_0203_0405_0607;
    /// As ntpd of NTPsec 1.2.2 answered that number, when it had just heard of its server.
    const SYNCHRONIZED: &str = "240400e8000000030000199fc0000202eeae5c645f4c80a1\
        0001020304050607eeae5c6ab0b772b4eeae5c6ab0bbd370";
    /// The same daemon, started without a server.
    const STARTED: &str = "e40000e80000000000000013494e49540000000000000000\
        0001020304050607eeae5c30c81e6418eeae5c30c828f500";
    /// chrony 4.3 with `local stratum 3`, and nobody above it.
    const LOCAL: &str = "240300e600000000000000007f7f0101eeae5996f211c542\
        0001020304050607eeae599928f0660deeae5999296f638e";
    /// When the first of them came.
    const THEN: UnixMillis = UnixMillis(1_795_415_530_690);

    fn packet(text: &str) -> [u8; PACKET_BYTES] {
        hex::decode(text).expect("it is a packet in hexadecimal")
    }

    /// The synchronized answer with other bytes in one place.
    fn altered(at: usize, bytes: &[u8]) -> Option<Answer> {
        let mut packet = packet(SYNCHRONIZED);
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        parse_answer(&packet, NUMBER, THEN)
    }

    const RIGHT: Option<Answer> = Some(Answer::Right(UnixMillis(1_795_415_524_372)));
    const NOT_KNOWN: Option<Answer> = Some(Answer::NotKnown);

    #[test]
    fn a_question_is_that_of_a_client_and_tells_no_time() {
        let mut expected = [0; PACKET_BYTES];
        expected[0] = 0x23;
        expected[40..].copy_from_slice(&[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(encode_question(NUMBER), expected);
    }

    #[test]
    fn what_daemons_really_answer_is_understood() {
        assert_eq!(parse_answer(&packet(SYNCHRONIZED), NUMBER, THEN), RIGHT);
        for text in [STARTED, LOCAL] {
            assert_eq!(parse_answer(&packet(text), NUMBER, THEN), NOT_KNOWN);
        }
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_none() {
        let whole = packet(SYNCHRONIZED);
        assert_eq!(parse_answer(&whole, NUMBER + 1, THEN), None);
        for length in 0..PACKET_BYTES {
            assert_eq!(parse_answer(&whole[..length], NUMBER, THEN), None);
        }
        // A question, as somebody may send it back.
        assert_eq!(altered(0, &[0x23]), None);
    }

    #[test]
    fn only_one_who_knows_the_time_is_believed() {
        assert_eq!(altered(0, &[0x64]), RIGHT);
        assert_eq!(altered(0, &[0xe4]), NOT_KNOWN);
        for (stratum, answer) in [(0, NOT_KNOWN), (1, RIGHT), (15, RIGHT), (16, NOT_KNOWN)] {
            assert_eq!(altered(1, &[stratum]), answer, "{stratum}");
        }
        for own in [*b"LOCL", [127, 127, 1, 0], [127, 0, 0, 1], [0; 4]] {
            assert_eq!(altered(12, &own), NOT_KNOWN, "{own:?}");
        }
        assert_eq!(altered(12, b"GPS\0"), RIGHT);
    }

    #[test]
    fn one_who_serves_its_own_clock_has_heard_of_nobody() {
        assert_eq!(altered(16, &[0; 8]), NOT_KNOWN);
        let received = packet(SYNCHRONIZED);
        assert_eq!(altered(16, &received[32..40]), NOT_KNOWN);
    }

    #[test]
    fn a_clock_that_may_be_far_off_is_not_believed() {
        let bound = limits::CLOCK_ERROR_MAX.as_secs() as u32;
        // What the answer itself has of both.
        let (delay, dispersion) = (3, 0x199f + 2 + 2 * 66);
        let short = |seconds: u32, less: u32| (seconds * 65_536 - less).to_be_bytes();
        assert_eq!(altered(8, &short(bound, delay + 66)), RIGHT);
        assert_eq!(altered(8, &short(bound, 0)), NOT_KNOWN);
        assert_eq!(altered(4, &short(2 * bound, 2 * dispersion)), RIGHT);
        assert_eq!(altered(4, &short(2 * bound, 0)), NOT_KNOWN);
    }

    #[test]
    fn one_who_keeps_another_clock_is_not_believed() {
        let bound = limits::CLOCK_ERROR_MAX.as_millis() as i64;
        let packet = packet(SYNCHRONIZED);
        let at = |ahead_ms: i64| parse_answer(&packet, NUMBER, UnixMillis(THEN.0 + ahead_ms));
        for sign in [1, -1] {
            assert_eq!(at(sign * (bound - 110)), RIGHT);
            assert_eq!(at(sign * (bound + 1)), NOT_KNOWN);
        }
    }

    #[test]
    fn stamps_go_on_when_their_seconds_begin_anew() {
        let turn = UnixMillis(((1_i64 << 32) - SECONDS_TO_1970) * 1000);
        assert_eq!(turn.iso(), "2036-02-07T06:28:16.000Z");
        for (stamp, wall) in [(1 << 31, turn.0 + 500), (u64::MAX, turn.0 - 1)] {
            for near in [turn.0 - 60_000, turn.0, turn.0 + 60_000] {
                assert_eq!(time(stamp, UnixMillis(near)), UnixMillis(wall));
            }
        }
    }
}
