//! `stats`: sizes and counts.

use serde_json::Value;

use super::super::args::Json;
use super::super::failure::Failure;
use super::super::table::{Table, columns};
use super::super::{human, output};
use super::face::{Call, Face};

pub(super) fn stats(face: &Face, json: Json) -> Result<(), Failure> {
    let bytes = face.bytes(Call::get("/api/v1/database"))?;
    if json.json {
        return output::print(&String::from_utf8_lossy(&bytes));
    }
    let figures = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::internal(format!("the figures are not JSON: {error}")))?;
    output::print(&page(&figures))
}

/// The figures for people. What the agent does not say is left out.
fn page(figures: &Value) -> String {
    let size = |name: &str| figures[name].as_u64().map(human::size);
    let count = |name: &str| figures[name].as_u64().map(human::count);
    let facts = [
        ("rows", count("rows")),
        ("on the disk", on_the_disk(figures)),
        ("live", size("bytes_live")),
        ("garbage", size("bytes_garbage")),
        (
            "in memory",
            size("bytes_cached").map(|size| format!("{size} of values")),
        ),
        ("sequence", sequence(figures)),
        ("written", written(figures)),
        ("waiting for the cloud", queue(&figures["queue"])),
        ("dropped at a bound", dropped(&figures["dropped"])),
        (
            "cut tails kept",
            count("cut_tails").filter(|count| count != "0"),
        ),
        ("failure", figures["failure"].as_str().map(output::plain)),
    ];
    let rows: Vec<Vec<String>> = facts
        .into_iter()
        .filter_map(|(name, fact)| Some(vec![name.to_owned(), fact?]))
        .collect();
    let mut text = columns(&rows);
    let models = models(&figures["models"]);
    if !models.is_empty() {
        text.push('\n');
        text.push_str(&models.show().text);
    }
    text
}

fn on_the_disk(figures: &Value) -> Option<String> {
    let bytes = human::size(figures["bytes"].as_u64()?);
    let segments = figures["segments"].as_u64().unwrap_or(0);
    let plural = if segments == 1 { "" } else { "s" };
    let mut words = format!("{bytes} in {} segment{plural}", human::count(segments));
    // What is neither is room for what is to come: full disks refuse writes early.
    let used = ["bytes_live", "bytes_garbage"].map(|part| figures[part].as_u64());
    if let [Some(live), Some(garbage)] = used {
        let ahead = figures["bytes"].as_u64()?.saturating_sub(live + garbage);
        words.push_str(&format!(", {} of it taken ahead", human::size(ahead)));
    }
    Some(words)
}

fn sequence(figures: &Value) -> Option<String> {
    let (last, durable) = (
        figures["sequence"].as_u64()?,
        figures["durable_sequence"].as_u64()?,
    );
    Some(match last == durable {
        true => format!("{}, all on the disk", human::count(last)),
        false => format!(
            "{}, on the disk up to {}",
            human::count(last),
            human::count(durable)
        ),
    })
}

/// What went to the flash since the database was opened.
fn written(figures: &Value) -> Option<String> {
    let bytes = human::size(figures["bytes_written"].as_u64()?);
    let syncs = human::counted(figures["syncs"].as_u64().unwrap_or(0), "sync");
    let mut words = format!("{bytes} in {syncs} since it was opened");
    if let Some(hundredths) = figures["write_amplification_pct"].as_u64() {
        let (whole, rest) = (hundredths / 100, hundredths % 100);
        words.push_str(&format!(", {whole}.{rest:02} for each byte of a change"));
    }
    Some(words)
}

fn queue(queue: &Value) -> Option<String> {
    let rows = human::counted(queue["rows"].as_u64()?, "item");
    let bytes = human::size(queue["bytes"].as_u64()?);
    Some(format!("{rows}, {bytes}"))
}

fn dropped(dropped: &Value) -> Option<String> {
    let all = dropped.as_object()?.iter().map(|(model, dropped)| {
        let rows = human::count(dropped["rows"].as_u64().unwrap_or(0));
        let unsent = human::count(dropped["unsent"].as_u64().unwrap_or(0));
        format!("{} {rows} ({unsent} unsent)", output::plain(model))
    });
    let all: Vec<String> = all.collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn models(models: &Value) -> Table {
    let mut table = Table::new(["MODEL", "ROWS"]).right(1);
    for (model, rows) in models.as_object().into_iter().flatten() {
        table.push([model, &human::count(rows.as_u64().unwrap_or(0))]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_told_in_human_units() {
        let figures = json!({
            "rows": 1234, "bytes": 12_582_912, "segments": 2, "bytes_live": 200_000,
            "bytes_garbage": 1500, "bytes_cached": 90_000, "sequence": 90_210,
            "durable_sequence": 90_200, "bytes_written": 3_000_000, "syncs": 12,
            "write_amplification_pct": 104, "queue": {"rows": 3, "bytes": 900},
            "dropped": {"Metric": {"rows": 7, "unsent": 2}}, "cut_tails": 0, "failure": null,
            "models": {"Metric": 1200, "Setting": 34},
        });
        let expected = "\
rows                   1,234
on the disk            12.5 MB in 2 segments, 12.3 MB of it taken ahead
live                   200.0 kB
garbage                1.5 kB
in memory              90.0 kB of values
sequence               90,210, on the disk up to 90,200
written                3.0 MB in 12 syncs since it was opened, 1.04 for each byte of a change
waiting for the cloud  3 items, 900 bytes
dropped at a bound     Metric 7 (2 unsent)

MODEL     ROWS
Metric   1,200
Setting     34
";
        assert_eq!(page(&figures), expected);
        assert_eq!(page(&json!({})), "");
    }
}
