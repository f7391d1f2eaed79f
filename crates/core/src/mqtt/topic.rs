//! Topics and topic filters (section 4.7): what they may look like, and which covers which.

use crate::limits::{MQTT_STRING_BYTES_MAX, MQTT_TOPIC_LEVELS_MAX};

/// Why a text is no topic, or no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// It has no character.
    #[error("a topic has at least one character")]
    Empty,
    /// It does not fit its length of two bytes.
    #[error("a topic has at most 65,535 bytes")]
    TooLong,
    /// It has more levels than we match.
    #[error("a topic has at most 128 levels")]
    TooManyLevels,
    /// It holds U+0000.
    #[error("a topic must not hold the character U+0000")]
    Nul,
    /// It holds a character for which a broker may close the connection.
    #[error("a topic must not hold {}: brokers close the connection for it", CodePoint(*.0))]
    Character(char),
    /// A topic to publish to has a wildcard.
    #[error("a topic to publish to must not hold `+` or `#`")]
    Wildcard,
    /// `+` with something else in its level.
    #[error("`+` must stand alone between slashes")]
    Plus,
    /// `#` somewhere else than alone in the last level.
    #[error("`#` must stand alone behind the last slash")]
    Hash,
    /// `$share` without a name or without a filter.
    #[error("a shared subscription is `$share/NAME/FILTER`, with a name without `+` and `#`")]
    Share,
}

impl TopicError {
    /// The same, for places that take a fixed text.
    pub const fn what(self) -> &'static str {
        match self {
            TopicError::Empty => "the topic is empty",
            TopicError::TooLong => "the topic is too long",
            TopicError::TooManyLevels => "the topic has too many levels",
            TopicError::Nul => "the topic holds the character U+0000",
            TopicError::Character(_) => "the topic holds a control character or a non-character",
            TopicError::Wildcard => "the topic holds a wildcard",
            TopicError::Plus => "`+` does not stand alone in its level",
            TopicError::Hash => "`#` does not stand alone in the last level",
            TopicError::Share => "the shared subscription has no name or no filter",
        }
    }
}

/// The first character that the standard wants nobody to send (section 1.5.4): U+0000, the other
/// control characters, and code points that are no characters. A broker may take a packet that
/// holds one for malformed, and does: mosquitto closes the connection.
pub(crate) fn unwelcome(text: &str) -> Option<char> {
    let is_unwelcome = |letter: &char| {
        letter.is_control()
            || matches!(u32::from(*letter), 0xFDD0..=0xFDEF)
            || matches!(u32::from(*letter) & 0xFFFF, 0xFFFE | 0xFFFF)
    };
    text.chars().find(is_unwelcome)
}

/// A character that does not show, by its number.
pub(crate) struct CodePoint(pub(crate) char);

impl std::fmt::Display for CodePoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the character U+{:04X}", u32::from(self.0))
    }
}

/// Whether a message can be published to this topic.
pub fn check_name(topic: &str) -> Result<(), TopicError> {
    check_received_name(topic)?;
    check_characters(topic)
}

fn check_characters(text: &str) -> Result<(), TopicError> {
    unwelcome(text).map_or(Ok(()), |letter| Err(TopicError::Character(letter)))
}

/// Whether a message can have come with this topic: others may send what we had better not.
pub(crate) fn check_received_name(topic: &str) -> Result<(), TopicError> {
    if topic.is_empty() {
        return Err(TopicError::Empty);
    }
    let mut slashes = 0;
    for byte in topic.bytes() {
        match byte {
            b'+' | b'#' => return Err(TopicError::Wildcard),
            0 => return Err(TopicError::Nul),
            b'/' => slashes += 1,
            _ => {}
        }
    }
    check_size(topic, slashes)
}

fn check_size(topic: &str, slashes: usize) -> Result<(), TopicError> {
    if topic.len() > MQTT_STRING_BYTES_MAX {
        return Err(TopicError::TooLong);
    }
    match slashes < MQTT_TOPIC_LEVELS_MAX {
        true => Ok(()),
        false => Err(TopicError::TooManyLevels),
    }
}

/// A topic filter that is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'a> {
    text: &'a str,
    /// Where the part that matches topics begins.
    levels_at: usize,
}

impl<'a> Filter<'a> {
    /// Checks a filter, shared ones included.
    pub fn parse(text: &'a str) -> Result<Filter<'a>, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.bytes().any(|byte| byte == 0) {
            return Err(TopicError::Nul);
        }
        let levels_at = match text.strip_prefix("$share") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => share_bytes(text)?,
            _ => 0,
        };
        let filter = Filter { text, levels_at };
        check_size(text, text.bytes().filter(|byte| *byte == b'/').count())?;
        filter.check_wildcards()?;
        check_characters(text)?;
        Ok(filter)
    }

    /// The whole text, as it is sent.
    pub const fn as_str(self) -> &'a str {
        self.text
    }

    /// The part that topics are compared with: all but `$share/NAME/`.
    pub fn matching(self) -> &'a str {
        &self.text[self.levels_at..]
    }

    /// The name of the group of a shared subscription.
    pub fn share_name(self) -> Option<&'a str> {
        let name = self.text[..self.levels_at].strip_prefix("$share/")?;
        name.strip_suffix('/')
    }

    /// Whether it holds `+` or `#`.
    pub fn has_wildcard(self) -> bool {
        self.matching()
            .bytes()
            .any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// Whether a message to this topic is meant.
    pub fn matches(self, topic: &str) -> bool {
        let filter = self.matching();
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = topic.split('/');
        for wanted in filter.split('/') {
            match (wanted, levels.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (wanted, Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// Whether every topic that `other` matches is matched by this one too.
    pub fn covers(self, other: Filter<'_>) -> bool {
        let (mine, its) = (self.matching(), other.matching());
        if its.starts_with('$') && mine.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = its.split('/');
        for wanted in mine.split('/') {
            match (wanted, levels.next()) {
                ("#", _) => return true,
                ("+", Some(level)) if level != "#" => {}
                (wanted, Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    fn check_wildcards(self) -> Result<(), TopicError> {
        let mut levels = self.matching().split('/').peekable();
        while let Some(level) = levels.next() {
            if level.contains('#') && (level != "#" || levels.peek().is_some()) {
                return Err(TopicError::Hash);
            }
            if level.contains('+') && level != "+" {
                return Err(TopicError::Plus);
            }
        }
        Ok(())
    }
}

/// Bytes of `$share/NAME/`.
fn share_bytes(text: &str) -> Result<usize, TopicError> {
    let rest = text.strip_prefix("$share/").ok_or(TopicError::Share)?;
    let (name, filter) = rest.split_once('/').ok_or(TopicError::Share)?;
    if name.is_empty() || name.contains(['+', '#']) || filter.is_empty() {
        return Err(TopicError::Share);
    }
    Ok(text.len() - filter.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_no_wildcard_no_nul_and_at_least_one_character() {
        assert_eq!(check_name("a/b//c/"), Ok(()));
        assert_eq!(check_name("/"), Ok(()));
        assert_eq!(check_name("$SYS/x"), Ok(()));
        assert_eq!(check_name("温度/1"), Ok(()));
        assert_eq!(check_name(""), Err(TopicError::Empty));
        assert_eq!(check_name("a/+"), Err(TopicError::Wildcard));
        assert_eq!(check_name("a#"), Err(TopicError::Wildcard));
        assert_eq!(check_name("a\0"), Err(TopicError::Nul));
    }

    #[test]
    fn characters_for_which_brokers_close_the_connection_are_refused() {
        let bad = [
            '\u{1}',
            '\t',
            '\n',
            '\u{1F}',
            '\u{7F}',
            '\u{80}',
            '\u{9F}',
            '\u{FDD0}',
            '\u{FDEF}',
            '\u{FFFE}',
            '\u{FFFF}',
            '\u{1FFFE}',
            '\u{10FFFF}',
        ];
        for letter in bad {
            let text = format!("a/{letter}");
            let expected = TopicError::Character(letter);
            assert_eq!(check_name(&text), Err(expected), "{letter:?}");
            assert_eq!(Filter::parse(&text), Err(expected), "{letter:?}");
            assert_eq!(check_received_name(&text), Ok(()), "{letter:?}");
        }
        for letter in [
            ' ',
            '~',
            '\u{A0}',
            '\u{FDCF}',
            '\u{FDF0}',
            '\u{FEFF}',
            '\u{FFFD}',
            '\u{10000}',
        ] {
            assert_eq!(check_name(&format!("a/{letter}")), Ok(()), "{letter:?}");
        }
        assert_eq!(
            TopicError::Character('\n').to_string(),
            "a topic must not hold the character U+000A: brokers close the connection for it"
        );
    }

    #[test]
    fn length_and_levels_have_their_bounds() {
        assert_eq!(check_name(&"a".repeat(MQTT_STRING_BYTES_MAX)), Ok(()));
        let longer = "a".repeat(MQTT_STRING_BYTES_MAX + 1);
        assert_eq!(check_name(&longer), Err(TopicError::TooLong));
        assert_eq!(Filter::parse(&longer), Err(TopicError::TooLong));
        let levels = |count: usize| vec!["a"; count].join("/");
        assert_eq!(check_name(&levels(MQTT_TOPIC_LEVELS_MAX)), Ok(()));
        let more = levels(MQTT_TOPIC_LEVELS_MAX + 1);
        assert_eq!(check_name(&more), Err(TopicError::TooManyLevels));
        assert_eq!(Filter::parse(&more), Err(TopicError::TooManyLevels));
    }

    #[test]
    fn a_wildcard_stands_alone_in_its_level_and_hash_in_the_last() {
        for good in ["#", "+", "a/#", "/#", "+/+", "a/+/b", "+/a/#", "$share/g/#"] {
            assert!(Filter::parse(good).is_ok(), "{good}");
        }
        for (bad, error) in [
            ("", TopicError::Empty),
            ("a#", TopicError::Hash),
            ("#/a", TopicError::Hash),
            ("/#/x", TopicError::Hash),
            ("#+", TopicError::Hash),
            ("a+", TopicError::Plus),
            ("+a/b", TopicError::Plus),
            ("a\0b", TopicError::Nul),
            ("$share", TopicError::Share),
            ("$share/", TopicError::Share),
            ("$share/g", TopicError::Share),
            ("$share/g/", TopicError::Share),
            ("$share//a", TopicError::Share),
            ("$share/g+/a", TopicError::Share),
        ] {
            assert_eq!(Filter::parse(bad), Err(error), "{bad}");
        }
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/ranking",
                true,
            ),
            ("sport/#", "sport", true),
            ("sport/#", "sports", false),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor", "$SYS/monitor", false),
            ("$SYS/#", "$SYS/monitor", true),
            ("$SYS/monitor/+", "$SYS/monitor/clients", true),
            ("a", "A", false),
            ("$share/group/a/+", "a/b", true),
            ("$shared/a", "$shared/a", true),
        ] {
            let parsed = Filter::parse(filter).unwrap();
            assert_eq!(parsed.matches(topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn a_filter_covers_what_it_matches_entirely() {
        for (wide, narrow, expected) in [
            ("a/#", "a/b", true),
            ("a/#", "a", true),
            ("a/#", "a/#", true),
            ("a/#", "a/+/c", true),
            ("a/+", "a/#", false),
            ("a/+", "a/+", true),
            ("a/+", "a/b/c", false),
            ("#", "a/+/#", true),
            ("#", "$SYS/#", false),
            ("+/b", "a/b", true),
            ("a/b", "a/+", false),
        ] {
            let (wide, narrow) = (Filter::parse(wide).unwrap(), Filter::parse(narrow).unwrap());
            assert_eq!(wide.covers(narrow), expected, "{wide:?} {narrow:?}");
        }
    }

    #[test]
    fn the_parts_of_a_shared_subscription_are_told_apart() {
        let shared = Filter::parse("$share/workers/jobs/+").unwrap();
        assert_eq!(shared.share_name(), Some("workers"));
        assert_eq!(shared.matching(), "jobs/+");
        assert!(shared.has_wildcard());
        assert_eq!(Filter::parse("jobs/1").unwrap().share_name(), None);
    }
}
