//! Tables of medians with the raw figures below, from programs that print a name and a number a line.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::{listed, median};

/// Figures by contender and name, one number a round.
pub(super) type Figures = BTreeMap<(&'static str, String), Vec<f64>>;

/// A line of the table: a figure by the name that the measuring program gives it, and how it is
/// shown.
pub(super) struct Line<'a> {
    figure: &'a str,
    title: &'a str,
    digits: usize,
    bar: &'a str,
}

pub(super) const fn line<'a>(
    figure: &'a str,
    title: &'a str,
    digits: usize,
    bar: &'a str,
) -> Line<'a> {
    Line {
        figure,
        title,
        digits,
        bar,
    }
}

/// Takes over what a measuring program has printed, each figure under the name that `named` makes
/// of its own.
pub(super) fn collect(
    contender: &'static str,
    printed: &str,
    named: impl Fn(&str) -> String,
    figures: &mut Figures,
) -> Result<()> {
    for line in printed.lines() {
        let (name, number) = line.split_once(' ').context("a figure has no number")?;
        let values = figures.entry((contender, named(name))).or_default();
        values.push(number.parse().context("a figure is no number")?);
    }
    Ok(())
}

/// The medians, one column a contender.
pub(super) fn table(lines: &[Line<'_>], names: &[&'static str], figures: &Figures) {
    print!("\n  {:46}", "");
    names.iter().for_each(|name| print!(" {name:>13}"));
    println!(" {:>6}", "bar");
    for line in lines {
        print!("  {:46}", line.title);
        for name in names {
            match figures.get(&(name, line.figure.to_owned())) {
                Some(values) => print!(" {:>13.*}", line.digits, median(values)),
                None => print!(" {:>13}", "-"),
            }
        }
        println!(" {:>6}", line.bar);
    }
}

/// Every number of every round.
pub(super) fn raw(lines: &[Line<'_>], names: &[&'static str], figures: &Figures) {
    println!();
    for line in lines {
        for name in names {
            if let Some(values) = figures.get(&(name, line.figure.to_owned())) {
                println!(
                    "  raw {:24} {name:13} {}",
                    line.figure,
                    listed(values, line.digits)
                );
            }
        }
    }
}
