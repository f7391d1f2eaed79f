//! The question that `chronyc tracking` asks, in chrony's protocol for commands, version 6
//! (`candm.h` in its source; chrony 2.2 and later).
//!
//! All numbers are in network order. This question is answered to every program of the machine;
//! it is as long as the answer, as the protocol asks for, so that nobody can be flooded with them.

use super::{Answer, is_near, number};
use crate::time::UnixMillis;

/// Where chrony listens, on the loopback address.
pub const PORT: u16 = 323;

/// Length of question and answer.
pub const PACKET_BYTES: usize = 104;

const VERSION: u8 = 6;
const QUESTION: u8 = 1;
const ANSWER: u8 = 2;
const ASK_TRACKING: u16 = 33;
const TELL_TRACKING: u16 = 5;
/// The leap status of one who does not know the time.
const NOT_SYNCHRONIZED: u16 = 3;
const STRATUM_MAX: u16 = 15;
/// Where a daemon looks that goes by its own clock (`local` in its configuration).
const OWN_CLOCK: [u8; 3] = [127, 127, 1];
/// Stands in the upper half of a time whose sender counts seconds in 32 bits.
const NO_UPPER_HALF: u32 = 0x7fff_ffff;

/// The question; the answer bears the same number.
pub fn encode_question(number: u32) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    packet[0] = VERSION;
    packet[1] = QUESTION;
    packet[4..6].copy_from_slice(&ASK_TRACKING.to_be_bytes());
    packet[8..12].copy_from_slice(&number.to_be_bytes());
    packet
}

/// Reads an answer; `None` if it is none to that question, or of a protocol that is not known.
pub fn parse_answer(packet: &[u8], question: u32) -> Option<Answer> {
    if packet.len() < PACKET_BYTES {
        return None;
    }
    let short = |at| u16::from_be_bytes(number(packet, at));
    let long = |at| u32::from_be_bytes(number(packet, at));
    let is_ours = packet[0] == VERSION
        && packet[1] == ANSWER
        && short(4) == ASK_TRACKING
        && short(6) == TELL_TRACKING
        && short(8) == 0
        && long(16) == question;
    if !is_ours {
        return None;
    }
    let (stratum, leap) = (short(52), short(54));
    let knows = leap < NOT_SYNCHRONIZED
        && (1..=STRATUM_MAX).contains(&stratum)
        && packet[28..31] != OWN_CLOCK;
    let float = |at| float(long(at));
    // What it is still correcting, and how wrong that can be.
    let off = float(68).abs() + float(92) / 2.0 + float(96);
    Some(match knows && is_near(off) {
        true => Answer::Right(time(long(56), long(60), long(64))),
        false => Answer::NotKnown,
    })
}

/// Seconds in two halves, and nanoseconds.
fn time(upper: u32, lower: u32, nanoseconds: u32) -> UnixMillis {
    let upper = if upper == NO_UPPER_HALF { 0 } else { upper };
    let seconds = (i64::from(upper) << 32) | i64::from(lower);
    let millis = seconds.saturating_mul(1000);
    UnixMillis(millis.saturating_add(i64::from(nanoseconds / 1_000_000)))
}

/// chrony's own form: seven bits of exponent, 25 of a coefficient below one, both signed.
fn float(bits: u32) -> f64 {
    let bits = bits.cast_signed();
    let (exponent, coefficient) = (bits >> 25, bits << 7 >> 7);
    f64::from(coefficient) * 2_f64.powi(exponent - 25)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hex, limits};

    const NUMBER: u32 = 0x0102_0304;
    /// As chrony 4.3 answered that number, when it had just heard of its server.
    const SYNCHRONIZED: &str = "06020000002100050000000000000000010203040000000000000000\
        7f0000017f0000010000000000000000000000000001000000040000\
        000000006b03db1d1beaf302dd0cfbcad50b2858d4f4d7a8fc8744b0\
        e37f883004edff41e0cf07e5e2f23f2b06809432";
    /// The same, before that.
    const STARTED: &str = "06020000002100050000000000000000010203040000000000000000\
        00000000000000000000000000000000000000000000000000000003\
        00000000000000000000000000000000000000000000000000000000\
        0000000000000000048000000480000000000000";
    /// That server: `local stratum 3`, and nobody above it.
    const LOCAL: &str = "06020000002100050000000000000000010203040000000000000000\
        7f7f0101000000000000000000000000000000000000000000030000\
        000000006b03db16385c762900000000000000000000000000000000\
        0000000000000000000000000000000000000000";

    fn packet(text: &str) -> [u8; PACKET_BYTES] {
        hex::decode(text).expect("it is a packet in hexadecimal")
    }

    /// The synchronized answer with other bytes in one place.
    fn altered(at: usize, bytes: &[u8]) -> Option<Answer> {
        let mut packet = packet(SYNCHRONIZED);
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        parse_answer(&packet, NUMBER)
    }

    const RIGHT: Option<Answer> = Some(Answer::Right(UnixMillis(1_795_414_813_468)));
    const NOT_KNOWN: Option<Answer> = Some(Answer::NotKnown);

    #[test]
    fn a_question_is_as_long_as_its_answer() {
        let mut expected = [0; PACKET_BYTES];
        expected[..12].copy_from_slice(&[6, 1, 0, 0, 0, 33, 0, 0, 1, 2, 3, 4]);
        assert_eq!(encode_question(NUMBER), expected);
    }

    #[test]
    fn what_chrony_really_answers_is_understood() {
        assert_eq!(parse_answer(&packet(SYNCHRONIZED), NUMBER), RIGHT);
        assert_eq!(parse_answer(&packet(STARTED), NUMBER), NOT_KNOWN);
        assert_eq!(parse_answer(&packet(LOCAL), NUMBER), NOT_KNOWN);
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_none() {
        let whole = packet(SYNCHRONIZED);
        assert_eq!(parse_answer(&whole, NUMBER + 1), None);
        for length in 0..PACKET_BYTES {
            assert_eq!(parse_answer(&whole[..length], NUMBER), None, "{length}");
        }
        // Another version, another type, another command, another reply, a refusal.
        for (at, byte) in [(0, 5), (1, 1), (5, 34), (7, 6), (9, 2)] {
            assert_eq!(altered(at, &[byte]), None, "{at}");
        }
        let longer = [whole.as_slice(), &[0; 8]].concat();
        assert_eq!(parse_answer(&longer, NUMBER), RIGHT);
    }

    #[test]
    fn only_one_who_knows_the_time_is_believed() {
        // A leap second is announced; the highest stratum there is.
        assert_eq!(altered(54, &[0, 1]), RIGHT);
        assert_eq!(altered(54, &[0, 2]), RIGHT);
        assert_eq!(altered(54, &[0, 3]), NOT_KNOWN);
        assert_eq!(altered(52, &[0, 15]), RIGHT);
        assert_eq!(altered(52, &[0, 16]), NOT_KNOWN);
        assert_eq!(altered(52, &[0, 0]), NOT_KNOWN);
    }

    /// So many times 2 to the power of -10 seconds.
    fn seconds(times: i32) -> [u8; 4] {
        let exponent = 15 << 25;
        (exponent | (times & 0x1ff_ffff)).to_be_bytes()
    }

    #[test]
    fn a_clock_that_is_still_far_off_is_not_believed() {
        let bound = limits::CLOCK_ERROR_MAX.as_secs() as i32 * 1024;
        for sign in [1, -1] {
            assert_eq!(altered(68, &seconds(sign * (bound - 1))), RIGHT);
            assert_eq!(altered(68, &seconds(sign * (bound + 1))), NOT_KNOWN);
        }
        // The way to the server and back, and what may have gone wrong since.
        assert_eq!(altered(92, &seconds(2 * bound - 2)), RIGHT);
        assert_eq!(altered(92, &seconds(2 * bound + 2)), NOT_KNOWN);
        assert_eq!(altered(96, &seconds(bound - 1)), RIGHT);
        assert_eq!(altered(96, &seconds(bound + 1)), NOT_KNOWN);
    }

    #[test]
    fn times_have_two_forms() {
        assert_eq!(altered(56, &NO_UPPER_HALF.to_be_bytes()), RIGHT);
        let later = UnixMillis(1_795_414_813_468 + (1_000 << 32));
        assert_eq!(altered(56, &[0, 0, 0, 1]), Some(Answer::Right(later)));
    }
}
