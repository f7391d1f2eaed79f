//! The name of a field: text that costs nothing to make and to copy as long as it is short.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// The name of a field in a [`Map`](super::Map).
///
/// The same few names come again in every item that is read, written or shown. Up to 22 bytes lie in
/// the name itself, so that none of this needs memory of its own; a longer one is as a `String`.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Form);

/// One form per name: short if it fits, with zeros behind it.
#[derive(Clone, PartialEq, Eq)]
enum Form {
    Short {
        length: u8,
        bytes: [u8; SHORT_BYTES_MAX],
    },
    Long(Box<str>),
}

/// What fits into the room of a `String`, length and kind aside.
const SHORT_BYTES_MAX: usize = 22;

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Form::Short { .. } => str::from_utf8(self.as_bytes()).expect("it was made from text"),
            Form::Long(text) => text,
        }
    }

    /// The bytes of the text: all that comparing, writing and counting need.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Short { length, bytes } => &bytes[..usize::from(*length)],
            Form::Long(text) => text.as_bytes(),
        }
    }

    /// As much of the name as one comparison takes.
    pub(super) fn head(&self) -> Head {
        match &self.0 {
            Form::Short { bytes, .. } => Head::of(bytes, SHORT_BYTES_MAX),
            Form::Long(text) => Head::of(text.as_bytes(), text.len()),
        }
    }

    fn short(text: &str) -> Option<Name> {
        let mut bytes = [0; SHORT_BYTES_MAX];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let length = text.len() as u8;
        Some(Name(Form::Short { length, bytes }))
    }
}

/// What names a field: a [`Name`], or the text of one.
pub trait AsName {
    /// The name.
    fn as_name(&self) -> Cow<'_, Name>;
}

impl AsName for Name {
    fn as_name(&self) -> Cow<'_, Name> {
        Cow::Borrowed(self)
    }
}

impl AsName for str {
    fn as_name(&self) -> Cow<'_, Name> {
        Cow::Owned(self.into())
    }
}

impl AsName for String {
    fn as_name(&self) -> Cow<'_, Name> {
        self.as_str().as_name()
    }
}

impl<N: AsName + ?Sized> AsName for &N {
    fn as_name(&self) -> Cow<'_, Name> {
        (**self).as_name()
    }
}

/// The first eight bytes of a name, with zeros behind a shorter one. Names are in the order of their
/// heads where these differ, as they mostly do; then comparing takes no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head(u64);

impl Head {
    pub(super) const BYTES: usize = 8;

    /// That of the name in the first `length` bytes; what follows these is better there than not.
    pub(super) fn of(bytes: &[u8], length: usize) -> Head {
        let first = match bytes.first_chunk() {
            Some(first) => *first,
            None => {
                let mut first = [0; Head::BYTES];
                first[..bytes.len()].copy_from_slice(bytes);
                first
            }
        };
        let behind = u64::MAX.checked_shr(8 * length as u32).unwrap_or(0);
        Head(u64::from_be_bytes(first) & !behind)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name::short(text).unwrap_or_else(|| Name(Form::Long(text.into())))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name::short(&text).unwrap_or_else(|| Name(Form::Long(text.into())))
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Name {
        Name::from(text.as_str())
    }
}

impl From<Cow<'_, str>> for Name {
    fn from(text: Cow<'_, str>) -> Name {
        Name::from(&*text)
    }
}

impl From<&Name> for Name {
    fn from(name: &Name) -> Name {
        name.clone()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        match name.0 {
            Form::Long(text) => text.into(),
            Form::Short { .. } => name.as_str().to_owned(),
        }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self
    }
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self
    }
}

impl Default for Name {
    fn default() -> Name {
        Name::from("")
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, text: &str) -> bool {
        self.as_bytes() == text.as_bytes()
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, text: &&str) -> bool {
        *self == **text
    }
}

impl PartialEq<Name> for &str {
    fn eq(&self, name: &Name) -> bool {
        *name == **self
    }
}

impl PartialEq<Name> for str {
    fn eq(&self, name: &Name) -> bool {
        *name == *self
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, text: &String) -> bool {
        *self == **text
    }
}

impl PartialEq<Name> for String {
    fn eq(&self, name: &Name) -> bool {
        *name == **self
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        match (&self.0, &other.0) {
            (Form::Short { bytes, .. }, Form::Short { bytes: others, .. }) => {
                let order =
                    Head::of(bytes, SHORT_BYTES_MAX).cmp(&Head::of(others, SHORT_BYTES_MAX));
                order.then_with(|| match self == other {
                    true => Ordering::Equal,
                    false => self.as_bytes().cmp(other.as_bytes()),
                })
            }
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_takes_no_more_room_than_a_string() {
        assert_eq!(size_of::<Name>(), size_of::<String>());
    }

    #[test]
    fn a_name_is_its_text_at_the_bound_of_its_room_and_beyond() {
        for bytes in [0, 1, SHORT_BYTES_MAX, SHORT_BYTES_MAX + 1, 255] {
            let text = "n".repeat(bytes);
            let name = Name::from(&text);
            let is_short = matches!(name.0, Form::Short { .. });
            assert_eq!(is_short, bytes <= SHORT_BYTES_MAX, "{bytes} bytes");
            assert_eq!((name.as_str(), name.as_bytes()), (&*text, text.as_bytes()));
            assert_eq!(String::from(name), text);
        }
    }

    proptest! {
        #[test]
        fn names_compare_as_their_texts(one in "[\0aé]{0,24}", other in "[\0aé]{0,24}") {
            let (a, b) = (Name::from(&one), Name::from(other.clone()));
            prop_assert_eq!(a.cmp(&b), one.cmp(&other));
            prop_assert_eq!(a == b, one == other);
            prop_assert_eq!(a == *other, one == other);
            prop_assert_eq!(format!("{a} {a:?}"), format!("{one} {one:?}"));
        }
    }
}
