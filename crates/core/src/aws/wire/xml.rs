//! A small XML reader and writer, for the answers of S3, STS and CloudWatch.
//!
//! Elements, text, the five entities and references to characters; attributes and namespaces are
//! passed over. No document type, so nothing can expand, and bounds on length, depth and number.

use crate::limits;
use quick_xml::events::{BytesRef, Event};
use quick_xml::{Reader, XmlVersion, escape};

/// An element with what stands in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name, without a prefix.
    pub name: String,
    /// Its text, without that of its children.
    pub text: String,
    /// Its children, in their order.
    pub children: Vec<Element>,
}

/// Why a text is not the XML that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XmlError {
    /// It is longer than is read.
    #[error("XML of {0} bytes; {max} are read at most", max = limits::XML_BYTES_MAX)]
    Length(usize),
    /// Elements stand too deeply in each other.
    #[error("XML nested deeper than {max} levels", max = limits::XML_DEPTH_MAX)]
    Depth,
    /// There are too many elements.
    #[error("XML of more than {max} elements", max = limits::XML_ELEMENTS_MAX)]
    Elements,
    /// The bytes are no UTF-8.
    #[error("XML that is not UTF-8")]
    Utf8,
    /// A document type, which could define anything.
    #[error("XML with a document type")]
    DocumentType,
    /// A reference to something other than a character.
    #[error("the reference &{0}; in XML")]
    Entity(String),
    /// The markup is wrong.
    #[error("no XML: {0}")]
    Markup(String),
    /// There is not exactly one element on the outside, or text beside it.
    #[error("XML without exactly one outer element")]
    Root,
}

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Element, XmlError> {
        if bytes.len() > limits::XML_BYTES_MAX {
            return Err(XmlError::Length(bytes.len()));
        }
        let text = str::from_utf8(bytes).map_err(|_| XmlError::Utf8)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::from_str(text);
        let mut builder = Builder::default();
        loop {
            let event = reader.read_event();
            match event.map_err(|error| XmlError::Markup(error.to_string()))? {
                Event::Start(tag) => builder.open(tag.local_name().into_inner())?,
                Event::Empty(tag) => {
                    builder.open(tag.local_name().into_inner())?;
                    builder.close()?;
                }
                Event::End(_) => builder.close()?,
                Event::Text(text) => builder.text(&text.xml_content(XmlVersion::Implicit1_0))?,
                Event::CData(text) => builder.text(&text.xml_content(XmlVersion::Implicit1_0))?,
                Event::GeneralRef(reference) => builder.text(&meant(&reference)?)?,
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => return builder.finish(),
            }
        }
    }

    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of that name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

fn meant(reference: &BytesRef<'_>) -> Result<String, XmlError> {
    let unknown = || XmlError::Entity(reference.chars().take(20).collect());
    let character = reference.resolve_char_ref().map_err(|_| unknown())?;
    match character {
        Some(character) if is_xml_character(character) => Ok(character.to_string()),
        Some(_) => Err(unknown()),
        None => escape::resolve_predefined_entity(reference)
            .map(str::to_owned)
            .ok_or_else(unknown),
    }
}

/// XML 1.0, production 2; S3 shows keys with other characters all the same, by reference, so
/// controls pass.
const fn is_xml_character(character: char) -> bool {
    !matches!(character, '\0' | '\u{fffe}' | '\u{ffff}')
}

#[derive(Default)]
struct Builder {
    /// The elements that are open, outermost first.
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Builder {
    fn open(&mut self, name: &str) -> Result<(), XmlError> {
        self.elements += 1;
        if self.root.is_some() {
            return Err(XmlError::Root);
        }
        if self.open.len() >= limits::XML_DEPTH_MAX {
            return Err(XmlError::Depth);
        }
        if self.elements > limits::XML_ELEMENTS_MAX {
            return Err(XmlError::Elements);
        }
        self.open.push(Element {
            name: name.to_owned(),
            ..Element::default()
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), XmlError> {
        let mut closed = self.open.pop().ok_or(XmlError::Root)?;
        if !closed.children.is_empty() && closed.text.trim().is_empty() {
            // What indents the children is no content.
            closed.text = String::new();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => self.root = Some(closed),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(XmlError::Root),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element, XmlError> {
        if !self.open.is_empty() {
            return Err(XmlError::Markup("an element is not closed".to_owned()));
        }
        self.root.ok_or(XmlError::Root)
    }
}

/// Appends an element with text to a document under construction.
pub fn write_text(name: &str, text: &str, out: &mut String) {
    write_element(name, out, |out| {
        out.push_str(&escape::escape(text).replace('\r', "&#13;"));
    });
}

/// Appends an element and what `inner` writes into it.
pub fn write_element(name: &str, out: &mut String, inner: impl FnOnce(&mut String)) {
    for part in ["<", name, ">"] {
        out.push_str(part);
    }
    inner(out);
    for part in ["</", name, ">"] {
        out.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Element, XmlError> {
        Element::parse(text.as_bytes())
    }

    fn leaf(name: &str, text: &str) -> Element {
        Element {
            name: name.into(),
            text: text.into(),
            children: vec![],
        }
    }

    #[test]
    fn an_answer_becomes_elements() {
        let text = "\u{feff}<?xml version=\"1.0\"?>\n<!-- c --><a xmlns=\"u\">\n <p:b x='1'>t&lt;&#x41;&#13;</p:b>\n \
                    <c/><b><![CDATA[<&>]]>x</b>\n</a>\n";
        let root = parse(text).unwrap();
        assert_eq!(
            root.children,
            [leaf("b", "t<A\r"), leaf("c", ""), leaf("b", "<&>x")]
        );
        assert_eq!((root.name.as_str(), root.text.as_str()), ("a", ""));
        assert_eq!(root.text_of("b"), Some("t<A\r"));
        assert_eq!(root.all("b").count(), 2);
        assert_eq!(root.child("d"), None);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let refused = |text: &str| parse(text).unwrap_err();
        assert_eq!(refused(""), XmlError::Root);
        assert_eq!(refused("text"), XmlError::Root);
        assert_eq!(refused("<a/><b/>"), XmlError::Root);
        assert_eq!(refused("<a/>text"), XmlError::Root);
        assert_eq!(refused("<a>&b;</a>"), XmlError::Entity("b".into()));
        assert_eq!(refused("<a>&#0;</a>"), XmlError::Entity("#0".into()));
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bb\">]><a>&b;</a>";
        assert_eq!(refused(bomb), XmlError::DocumentType);
        for text in ["<a>", "<a></b>", "</a>", "<a", "<a>&lt</a>", "<a>b&c</a>"] {
            assert!(matches!(refused(text), XmlError::Markup(_)), "{text}");
        }
        assert_eq!(Element::parse(b"<a>\xff</a>"), Err(XmlError::Utf8));
    }

    #[test]
    fn a_document_is_read_to_its_bounds_and_not_beyond() {
        let deep = |levels: usize| parse(&("<a>".repeat(levels) + &"</a>".repeat(levels)));
        assert!(deep(limits::XML_DEPTH_MAX).is_ok());
        assert_eq!(deep(limits::XML_DEPTH_MAX + 1), Err(XmlError::Depth));

        let wide = |elements: usize| parse(&format!("<r>{}</r>", "<a/>".repeat(elements - 1)));
        assert!(wide(limits::XML_ELEMENTS_MAX).is_ok());
        assert_eq!(wide(limits::XML_ELEMENTS_MAX + 1), Err(XmlError::Elements));

        let long = |bytes: usize| parse(&format!("<a>{}</a>", "x".repeat(bytes - 7)));
        assert!(long(limits::XML_BYTES_MAX).is_ok());
        let beyond = limits::XML_BYTES_MAX + 1;
        assert_eq!(long(beyond), Err(XmlError::Length(beyond)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in "[ -~äß\r\n\t😀]{0,30}") {
            let mut out = String::new();
            write_element("r", &mut out, |out| write_text("t", &text, out));
            let root = parse(&out).unwrap();
            // A line end within text is one character, however it was written.
            prop_assert_eq!(root.text_of("t").unwrap(), text);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "(<|>|/|&|;|a|=|\"|!|\\[|\\]|-|\\?|CDATA|#x?|é| ){0,40}") {
            let _ = parse(&text);
        }
    }
}
