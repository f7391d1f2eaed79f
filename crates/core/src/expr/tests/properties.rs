use super::*;
use crate::expr::{Projection, Update, strategies};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_printed_condition_reads_back_as_it_was(condition in strategies::condition()) {
        let mut places = Placeholders::new();
        let text = condition.print(&mut places).unwrap();
        prop_assert_eq!(Condition::parse(&text, &mut places).unwrap(), condition);
        places.check_all_used().unwrap();
    }

    #[test]
    fn a_printed_update_reads_back_as_it_was(update in strategies::update()) {
        let mut places = Placeholders::new();
        let text = update.print(&mut places).unwrap();
        prop_assert_eq!(Update::parse(&text, &mut places).unwrap(), update);
        places.check_all_used().unwrap();
    }

    #[test]
    fn a_printed_projection_reads_back_as_it_was(projection in strategies::projection()) {
        let mut places = Placeholders::new();
        let text = projection.print(&mut places).unwrap();
        prop_assert_eq!(Projection::parse(&text, &mut places).unwrap(), projection);
        places.check_all_used().unwrap();
    }

    #[test]
    fn a_condition_holds_or_its_negation_does(
        condition in strategies::condition(),
        item in strategies::item(),
    ) {
        let mut places = Placeholders::new();
        let negated = format!("not ({})", condition.print(&mut places).unwrap());
        let negated = Condition::parse(&negated, &mut places).unwrap();
        prop_assert_ne!(condition.holds(&item), negated.holds(&item));
    }

    #[test]
    fn an_update_changes_only_what_it_names(
        update in strategies::update(),
        item in strategies::item(),
    ) {
        let Ok(after) = update.apply(&item) else {
            return Ok(());
        };
        let named = |name: &str| update.paths().any(|path| path.attribute() == name);
        let rest = |item: &Map| {
            item.clone().into_iter().filter(|(name, _)| !named(name)).collect::<Map>()
        };
        prop_assert_eq!(rest(&after), rest(&item));
    }

    #[test]
    fn a_projection_of_a_projection_gives_no_more(
        projection in strategies::projection(),
        item in strategies::item(),
    ) {
        let attributes = projection.apply(&item);
        let named = |name: &str| projection.paths().iter().any(|path| path.attribute() == name);
        let strangers = attributes.keys().filter(|name| !named(name)).count();
        prop_assert_eq!(strangers, 0);
        for path in projection.paths().iter().filter(|path| path.steps().is_empty()) {
            prop_assert_eq!(path.get(&attributes), path.get(&item));
        }
    }

    #[test]
    fn no_text_is_too_odd_to_be_read_or_refused(text in "\\PC{0,200}") {
        read_all(&text);
    }

    #[test]
    fn no_heap_of_scraps_is_too_odd_either(text in strategies::scraps()) {
        read_all(&text);
    }

    #[test]
    fn a_valid_text_with_a_fault_is_read_or_refused(
        condition in strategies::condition(),
        at in any::<prop::sample::Index>(),
        scrap in strategies::scraps(),
    ) {
        let mut text = condition.print(&mut Placeholders::new()).unwrap();
        let at = at.index(text.len() + 1);
        let end = (at + scrap.len() / 4).min(text.len());
        text.replace_range(at..end, &scrap);
        read_all(&text);
    }
}

/// Whatever is read can be asked, applied and printed; whatever is refused names its place.
fn read_all(text: &str) {
    let item = item();
    let given = given()
        .with_value(":v", 1)
        .with_value(":0", "x")
        .with_name("#0", "n");
    let place = |error: crate::expr::ExpressionError| {
        assert!(text.is_char_boundary(error.at.byte));
        assert_eq!(text[..error.at.byte].chars().count() + 1, error.at.column);
    };
    match Condition::parse(text, &mut given.clone()) {
        Ok(condition) => {
            condition.holds(&item);
            condition.split_key("n", Some("s"));
            let _ = condition.print(&mut Placeholders::new());
        }
        Err(error) => place(error),
    }
    match Update::parse(text, &mut given.clone()) {
        Ok(update) => {
            let _ = (update.apply(&item), update.print(&mut Placeholders::new()));
        }
        Err(error) => place(error),
    }
    match Projection::parse(text, &mut given.clone()) {
        Ok(projection) => drop(projection.apply(&item)),
        Err(error) => place(error),
    }
}
