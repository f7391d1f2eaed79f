//! A small mutating driver that needs nothing but stable Rust: it changes inputs of the corpus,
//! keeps those that were treated in a new way, and writes down the first that panics.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::rng::Rng;
use crate::targets::Target;

/// The longest input that is tried.
const INPUT_BYTES_MAX: usize = 1 << 16;
/// How many inputs are kept at most beside the corpus.
const KEPT_MAX: usize = 5000;

/// What one run does.
pub struct Plan {
    /// Where the corpora are, a folder for each target.
    pub corpus: PathBuf,
    /// Where an input goes that makes a target panic.
    pub finds: PathBuf,
    /// How long inputs are changed and tried, after the corpus.
    pub time: Duration,
    /// Decides all that is random.
    pub seed: u64,
}

/// Feeds the corpus, then changed inputs until the time is over. Returns how many were fed, or the
/// file with the input that made the target panic.
pub fn run(target: Target, plan: &Plan) -> Result<u64, PathBuf> {
    let mut inputs = corpus(&plan.corpus.join(target.name));
    assert!(!inputs.is_empty(), "{}: there is no corpus", target.name);
    let mut seen = BTreeSet::new();
    for input in &inputs {
        seen.insert(feed(target, input, plan)?);
    }
    let mut fed = inputs.len() as u64;
    let mut rng = Rng::new(plan.seed);
    let most = inputs.len() + KEPT_MAX;
    let begun = Instant::now();
    while begun.elapsed() < plan.time {
        let mut input = inputs[rng.index(inputs.len())].clone();
        for _ in 0..=rng.below(4) {
            let other = &inputs[rng.index(inputs.len())];
            change(&mut input, other, &mut rng);
        }
        input.truncate(INPUT_BYTES_MAX);
        fed += 1;
        if seen.insert(feed(target, &input, plan)?) && inputs.len() < most {
            inputs.push(input);
        }
    }
    Ok(fed)
}

fn corpus(folder: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("the corpus can be listed").path())
        .collect();
    files.sort();
    let read = |file: PathBuf| fs::read(file).expect("the corpus can be read");
    files.into_iter().map(read).collect()
}

fn feed(target: Target, input: &[u8], plan: &Plan) -> Result<u64, PathBuf> {
    catch_unwind(AssertUnwindSafe(|| (target.feed)(input))).map_err(|_| {
        let name = format!("{}-{:016x}", target.name, checksum(input));
        let file = plan.finds.join(name);
        fs::create_dir_all(&plan.finds).expect("the folder for finds can be made");
        fs::write(&file, input).expect("a find can be written");
        file
    })
}

fn checksum(input: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    input.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// One small change: bits, bytes, numbers, pieces cut, doubled or taken from another input.
fn change(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    if input.is_empty() {
        input.extend_from_slice(other);
        return;
    }
    let at = rng.index(input.len());
    let length = 1 + rng.index((input.len() - at).min(32));
    match rng.below(9) {
        0 => input[at] ^= 1 << rng.below(8),
        1 => input[at] = rng.next_u64() as u8,
        2 => input[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'\\', b'#', b'0'][rng.index(10)],
        3 => input[at] = input[at].wrapping_add(1 + rng.below(3) as u8),
        4 => drop(input.drain(at..at + length)),
        5 => {
            let piece = input[at..at + length].to_vec();
            input.splice(at..at, piece);
        }
        6 if !other.is_empty() => {
            let from = rng.index(other.len());
            let piece = &other[from..other.len().min(from + 1 + rng.index(64))];
            input.splice(at..at, piece.iter().copied());
        }
        7 if !other.is_empty() => {
            let from = rng.index(other.len());
            let piece = &other[from..];
            let end = input.len().min(at + piece.len());
            input[at..end].copy_from_slice(&piece[..end - at]);
        }
        _ => {
            let number = [0, 1, 0xff, 0xffff, 0x7fff_ffff, u32::MAX, length as u32][rng.index(7)];
            let end = input.len().min(at + 4);
            input[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
        }
    }
}
