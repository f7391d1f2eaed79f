//! JSON objects, field by field, in the order in which they are named.

use super::expression::Expressions;
use crate::value::json::write_string;
use crate::value::{Map, attribute};

/// A JSON object under construction.
pub(super) struct Body {
    out: String,
}

impl Body {
    pub(super) fn new() -> Body {
        Body {
            out: "{".to_owned(),
        }
    }

    pub(super) fn text(mut self, name: &str, text: &str) -> Body {
        write_string(text, self.field(name));
        self
    }

    pub(super) fn flag(mut self, name: &str, flag: bool) -> Body {
        self.field(name)
            .push_str(if flag { "true" } else { "false" });
        self
    }

    pub(super) fn number(mut self, name: &str, number: u32) -> Body {
        self.field(name).push_str(&number.to_string());
        self
    }

    pub(super) fn item(mut self, name: &str, item: &Map) -> Body {
        attribute::write_item(item, self.field(name));
        self
    }

    pub(super) fn object(mut self, name: &str, object: Body) -> Body {
        self.field(name).push_str(&object.finish());
        self
    }

    pub(super) fn list(mut self, name: &str, elements: impl IntoIterator<Item = String>) -> Body {
        let out = self.field(name);
        out.push('[');
        for (at, element) in elements.into_iter().enumerate() {
            out.push_str(if at == 0 { "" } else { "," });
            out.push_str(&element);
        }
        out.push(']');
        self
    }

    /// Changes the object only where there is something to add.
    pub(super) fn with<T>(self, value: Option<T>, add: impl FnOnce(Body, T) -> Body) -> Body {
        match value {
            Some(value) => add(self, value),
            None => self,
        }
    }

    /// The expressions of a request with the names and values that they use.
    pub(super) fn expressions(mut self, expressions: &Expressions) -> Body {
        for (field, text) in &expressions.texts {
            self = self.text(field, text);
        }
        if !expressions.names.is_empty() {
            let names = expressions.names.iter().enumerate();
            let object = names.fold(Body::new(), |object, (at, name)| {
                object.text(&format!("#{at}"), name)
            });
            self = self.object("ExpressionAttributeNames", object);
        }
        if !expressions.values.is_empty() {
            let mut object = Body::new();
            for (at, value) in expressions.values.iter().enumerate() {
                attribute::write_value(value, object.field(&format!(":{at}")));
            }
            self = self.object("ExpressionAttributeValues", object);
        }
        self
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }

    fn field(&mut self, name: &str) -> &mut String {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        write_string(name, &mut self.out);
        self.out.push(':');
        &mut self.out
    }
}
