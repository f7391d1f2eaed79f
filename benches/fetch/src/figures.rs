//! What a step has measured.

/// Names with their numbers, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(String, f64)>);

impl Figures {
    pub(crate) fn add(&mut self, name: impl Into<String>, number: f64) {
        self.0.push((name.into(), number));
    }

    pub(crate) fn print(&self) {
        for (name, number) in &self.0 {
            println!("{name} {number}");
        }
    }
}
