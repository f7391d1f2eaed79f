//! Who takes turns, and in which order.

use anyhow::{Result, ensure};

/// What a contender is called, in tables and on the command line.
pub(super) trait Named {
    fn name(&self) -> &'static str;
}

/// All contenders, or the one that was asked for.
pub(super) fn chosen<'a, T: Named>(all: &'a [T], only: Option<&str>) -> Result<Vec<&'a T>> {
    let mut contenders: Vec<&T> = all.iter().collect();
    if let Some(only) = only {
        contenders.retain(|contender| contender.name() == only);
        let names: Vec<&str> = all.iter().map(Named::name).collect();
        ensure!(
            !contenders.is_empty(),
            "there is no {only}; there are {}",
            names.join(", ")
        );
    }
    Ok(contenders)
}

/// Every other round goes in reverse, so that a slow minute hits all alike.
pub(super) fn in_turn<'a, T>(contenders: &[&'a T], round: usize) -> Vec<&'a T> {
    let mut order = contenders.to_vec();
    if round.is_multiple_of(2) {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Named for &'static str {
        fn name(&self) -> &'static str {
            self
        }
    }

    #[test]
    fn the_first_round_goes_forward_and_the_second_back() {
        let all = chosen(&["a", "b", "c"], None).unwrap();
        assert_eq!(in_turn(&all, 1), [&"a", &"b", &"c"]);
        assert_eq!(in_turn(&all, 2), [&"c", &"b", &"a"]);
    }

    #[test]
    fn one_alone_is_chosen_by_name() {
        assert_eq!(chosen(&["a", "b"], Some("b")).unwrap(), [&"b"]);
        let error = chosen(&["a", "b"], Some("c")).unwrap_err();
        assert_eq!(error.to_string(), "there is no c; there are a, b");
    }
}
