//! Patterns of paths: `/var/spool/camera/**/*.jpg`.

use std::fmt;
use std::str::FromStr;

use crate::limits;

/// The paths of files that one text names.
///
/// `*` stands for any letters of a name, `?` for one, `[a-z]` and `[!a-z]` for one of a class, and
/// `**` as a name of its own for any folders, or none. A name that begins with a dot is only
/// matched by one that is written with it: programs hide under such names what is not done yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathPattern {
    text: String,
    /// The folder below which everything lies: the names before the first sign.
    base: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// `**`.
    AnyFolders,
    Name(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Letter(char),
    One,
    Many,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It ends with a slash, or has no name at all.
    #[error("must end with the name of a file")]
    Folder,
    /// A way out behind a sign.
    #[error("must not hold `.` or `..` as a name")]
    Dots,
    /// `[` without its end, or with nothing in it.
    #[error("has a `[` without its `]`")]
    Class,
    /// `**` beside other letters.
    #[error("must have `**` as a name of its own")]
    AnyFolders,
    /// It is too long.
    #[error("must have at most {max} bytes", max = limits::UPLOAD_PATTERN_BYTES_MAX)]
    TooLong,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as a phrase that follows its name.
    pub fn parse(text: &str) -> Result<PathPattern, PatternError> {
        if text.len() > limits::UPLOAD_PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty()).collect();
        if text.ends_with('/') || names.is_empty() {
            return Err(PatternError::Folder);
        }
        // The last name belongs to the file, with signs or without.
        let plain = |name: &&&str| !name.contains(['*', '?', '[']);
        let fixed = names[..names.len() - 1].iter().take_while(plain).count();
        let (base, parts) = names.split_at(fixed);
        if parts.last() == Some(&"**") {
            return Err(PatternError::Folder);
        }
        if parts.iter().any(|name| [".", ".."].contains(name)) {
            return Err(PatternError::Dots);
        }
        let base = match (text.starts_with('/'), base.is_empty()) {
            (true, _) => format!("/{}", base.join("/")),
            (false, true) => ".".to_owned(),
            (false, false) => base.join("/"),
        };
        Ok(PathPattern {
            text: text.to_owned(),
            base,
            parts: parts
                .iter()
                .map(|name| part(name))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The folder below which everything lies.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether the pattern names this path, relative to the base.
    pub fn matches(&self, path: &str) -> bool {
        self.states(path).contains(&self.parts.len())
    }

    /// Whether something below this folder, relative to the base, may be named.
    pub fn may_lead_to(&self, folder: &str) -> bool {
        let states = self.states(folder);
        states.iter().any(|at| *at < self.parts.len())
    }

    /// Whether a path may be named by both; told by the letters that both fix, so it may say yes
    /// where classes of letters keep them apart.
    pub fn overlaps(&self, other: &PathPattern) -> bool {
        let (one, two) = (self.names(), other.names());
        self.text.starts_with('/') == other.text.starts_with('/') && paths_meet(&one, &two)
    }

    /// All names, those of the base too.
    fn names(&self) -> Vec<Part> {
        let base = self
            .base
            .split('/')
            .filter(|name| !["", "."].contains(name));
        let letters = |name: &str| Part::Name(name.chars().map(Token::Letter).collect());
        base.map(letters)
            .chain(self.parts.iter().cloned())
            .collect()
    }

    /// How many parts may have been used up when the names of `path` are.
    fn states(&self, path: &str) -> Vec<usize> {
        let mut states = self.with_skips(vec![0]);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let next = states.iter().filter_map(|at| match self.parts.get(*at)? {
                Part::AnyFolders => (!name.starts_with('.')).then_some(*at),
                Part::Name(tokens) => name_matches(tokens, name).then_some(at + 1),
            });
            states = self.with_skips(next.collect());
        }
        states
    }

    /// `**` may stand for no folder.
    fn with_skips(&self, states: Vec<usize>) -> Vec<usize> {
        let mut all = Vec::new();
        for mut at in states {
            loop {
                if !all.contains(&at) {
                    all.push(at);
                }
                if self.parts.get(at) != Some(&Part::AnyFolders) {
                    break;
                }
                at += 1;
            }
        }
        all
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<PathPattern, PatternError> {
        PathPattern::parse(text)
    }
}

fn part(name: &str) -> Result<Part, PatternError> {
    if name == "**" {
        return Ok(Part::AnyFolders);
    }
    if name.contains("**") {
        return Err(PatternError::AnyFolders);
    }
    let mut tokens = Vec::new();
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        tokens.push(match letter {
            '*' => Token::Many,
            '?' => Token::One,
            '[' => class(&mut letters)?,
            letter => Token::Letter(letter),
        });
    }
    Ok(Part::Name(tokens))
}

/// What follows a `[`, up to its `]`.
fn class(letters: &mut std::str::Chars<'_>) -> Result<Token, PatternError> {
    let (inside, behind) = letters
        .as_str()
        .split_once(']')
        .ok_or(PatternError::Class)?;
    *letters = behind.chars();
    let (negated, inside) = match inside.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, inside),
    };
    let letters: Vec<char> = inside.chars().collect();
    let mut ranges = Vec::new();
    let mut rest = letters.as_slice();
    while let Some((first, after)) = rest.split_first() {
        match after {
            ['-', last, after @ ..] => {
                ranges.push((*first, *last));
                rest = after;
            }
            after => {
                ranges.push((*first, *first));
                rest = after;
            }
        }
    }
    match ranges.is_empty() {
        true => Err(PatternError::Class),
        false => Ok(Token::Class { negated, ranges }),
    }
}

/// A table over both lengths: whether what begins at each two places can be the same path.
fn paths_meet(one: &[Part], two: &[Part]) -> bool {
    meet(
        one,
        two,
        |part| *part == Part::AnyFolders,
        |a, b| match (a, b) {
            (Part::Name(a), Part::Name(b)) => {
                let any = |token: &Token| *token == Token::Many;
                meet(a, b, any, tokens_meet)
            }
            _ => true,
        },
    )
}

fn tokens_meet(one: &Token, two: &Token) -> bool {
    match (one, two) {
        (Token::Letter(a), token @ Token::Class { .. })
        | (token @ Token::Class { .. }, Token::Letter(a)) => takes(token, *a),
        (Token::Letter(a), Token::Letter(b)) => a == b,
        _ => true,
    }
}

/// Whether two rows of signs can stand for the same, where `any` stands for any number and the
/// others for one each.
fn meet<T>(one: &[T], two: &[T], any: impl Fn(&T) -> bool, same: impl Fn(&T, &T) -> bool) -> bool {
    let width = two.len() + 1;
    // From the ends to the beginnings; both at their ends are the same.
    let mut table = vec![false; (one.len() + 1) * width];
    for i in (0..=one.len()).rev() {
        for j in (0..=two.len()).rev() {
            let at = |i: usize, j: usize| table[i * width + j];
            table[i * width + j] = match (one.get(i), two.get(j)) {
                (None, None) => true,
                (Some(a), b) if any(a) => at(i + 1, j) || (b.is_some() && at(i, j + 1)),
                (a, Some(b)) if any(b) => at(i, j + 1) || (a.is_some() && at(i + 1, j)),
                (Some(a), Some(b)) => same(a, b) && at(i + 1, j + 1),
                _ => false,
            };
        }
    }
    table[0]
}

/// Goes back to the last `*` only, which is enough, and takes time by both lengths at most.
fn name_matches(tokens: &[Token], name: &str) -> bool {
    if name.starts_with('.') && tokens.first() != Some(&Token::Letter('.')) {
        return false;
    }
    let name: Vec<char> = name.chars().collect();
    let (mut token, mut letter) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while letter < name.len() {
        match tokens.get(token) {
            Some(Token::Many) => {
                retry = Some((token + 1, letter));
                token += 1;
            }
            Some(one) if takes(one, name[letter]) => {
                token += 1;
                letter += 1;
            }
            _ => match retry {
                Some((behind, from)) => {
                    retry = Some((behind, from + 1));
                    (token, letter) = (behind, from + 1);
                }
                None => return false,
            },
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Many)
}

fn takes(token: &Token, letter: char) -> bool {
    match token {
        Token::Letter(expected) => *expected == letter,
        Token::One => true,
        Token::Many => false,
        Token::Class { negated, ranges } => {
            let inside = ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&letter));
            inside != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_names_what_it_says_and_nothing_else() {
        let cases: [(&str, &str, &[&str], &[&str]); 10] = [
            ("a/*.gz", "a", &["x.gz"], &["a/x.gz"]),
            ("*.gz", ".", &["x.gz"], &["x"]),
            ("/a/b.txt", "/a", &["b.txt"], &["c.txt", "b.txt/b.txt", ""]),
            (
                "/a/*.jpg",
                "/a",
                &["x.jpg", "ä b.jpg", "a.jpg.jpg"],
                &["x.png", ".jpg", ".x.jpg", "d/x.jpg", "x.jpg2"],
            ),
            ("/a/*/x", "/a", &["b/x"], &["x", "b/c/x", ".b/x"]),
            (
                "/a/**/x?",
                "/a",
                &["x1", "b/x2", "b/c/d/xx"],
                &["x", "b/x", ".b/x1", "x12"],
            ),
            ("/a/[0-9ab-]z", "/a", &["7z", "az", "-z"], &["cz", "77z"]),
            ("/a/[!0-9]*", "/a", &["x", "xy"], &["7", "7x", ".x"]),
            ("/a/.hid*", "/a", &[".hidden"], &["hidden"]),
            ("/*a*b*/c", "/", &["xaxbx/c", "ab/c"], &["ba/c", "a/b/c"]),
        ];
        for (text, base, yes, no) in cases {
            let pattern = pattern(text);
            assert_eq!(pattern.base(), base, "{text}");
            for path in yes {
                assert!(pattern.matches(path), "{text} names {path}");
            }
            for path in no {
                assert!(!pattern.matches(path), "{text} does not name {path}");
            }
        }
    }

    #[test]
    fn patterns_that_may_name_the_same_path_are_told() {
        let table = [
            ("/v/*.jpg", "/v/*.jpg", true),
            ("/v/*.jpg", "/v/a*", true),
            ("/v/*.jpg", "/v/*.png", false),
            ("/v/*.jpg", "/w/*.jpg", false),
            ("/v/**/*.jpg", "/v/*.jpg", true),
            ("/v/**/*.jpg", "/v/a/b/c.jpg", true),
            ("/v/**/*.jpg", "/*/x/*", true),
            ("/v/a/*.jpg", "/v/*.jpg", false),
            ("/v/[ab].jpg", "/v/c.jpg", false),
            ("/v/[ab].jpg", "/v/?.jpg", true),
            ("/v/?", "/v/??", false),
            ("v/*", "/v/*", false),
            ("*.jpg", "a.jpg", true),
        ];
        for (one, two, expected) in table {
            let (a, b) = (pattern(one), pattern(two));
            assert_eq!(a.overlaps(&b), expected, "{one} {two}");
            assert_eq!(b.overlaps(&a), expected, "{two} {one}");
        }
    }

    #[test]
    fn only_folders_that_may_hold_something_are_entered() {
        let one = pattern("/a/*/b*/x");
        assert!(one.may_lead_to("") && one.may_lead_to("q") && one.may_lead_to("q/bz"));
        assert!(!one.may_lead_to("q/c") && !one.may_lead_to("q/bz/deeper"));
        let any = pattern("/a/**/x");
        assert!(any.may_lead_to("b/c/d"));
        assert!(!any.may_lead_to("b/.git"));
        assert!(!pattern("/a/*.jpg").may_lead_to("b"));
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (text, expected) in [
            ("", PatternError::Folder),
            ("/", PatternError::Folder),
            ("/a/", PatternError::Folder),
            ("/a/**", PatternError::Folder),
            ("/a/*/../b", PatternError::Dots),
            ("/a/..", PatternError::Dots),
            ("/a/[b", PatternError::Class),
            ("/a/[]", PatternError::Class),
            ("/a/[!]", PatternError::Class),
            ("/a/b**/c", PatternError::AnyFolders),
        ] {
            assert_eq!(PathPattern::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_taken_to_its_bound_and_not_beyond() {
        let of = |bytes: usize| PathPattern::parse(&format!("/{}", "x".repeat(bytes - 1)));
        assert!(of(limits::UPLOAD_PATTERN_BYTES_MAX).is_ok());
        assert_eq!(
            of(limits::UPLOAD_PATTERN_BYTES_MAX + 1),
            Err(PatternError::TooLong)
        );
    }

    proptest! {
        /// By the definition: every way of giving letters to each `*` is tried.
        #[test]
        fn a_name_is_matched_as_the_definition_says(
            text in "[ab*?]{1,8}", name in "[ab]{1,10}",
        ) {
            fn slow(pattern: &[char], name: &[char]) -> bool {
                match (pattern.split_first(), name.split_first()) {
                    (None, None) => true,
                    (Some(('*', rest)), _) => (0..=name.len()).any(|n| slow(rest, &name[n..])),
                    (Some(('?', rest)), Some((_, after))) => slow(rest, after),
                    (Some((a, rest)), Some((b, after))) => a == b && slow(rest, after),
                    _ => false,
                }
            }
            prop_assume!(!text.contains("**"));
            let letters = |text: &str| text.chars().collect::<Vec<char>>();
            let expected = slow(&letters(&text), &letters(&name));
            prop_assert_eq!(pattern(&format!("/{text}")).matches(&name), expected);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", path in "\\PC{0,40}") {
            if let Ok(pattern) = PathPattern::parse(&format!("/{text}")) {
                pattern.matches(&path);
                pattern.may_lead_to(&path);
            }
        }
    }
}
