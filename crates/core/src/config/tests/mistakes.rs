//! What a user is told about a mistake, and where it is.

use super::*;

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_nearest_valid_key() {
    for (text, words) in [
        (
            "[web]\n\nlistne = []\n",
            "periwinkle.toml:3: unknown key `web.listne`; did you mean `web.listen`?",
        ),
        (
            "web.listne = []",
            "periwinkle.toml:1: unknown key `web.listne`; did you mean `web.listen`?",
        ),
        (
            "[web]\ncache = '1 MB'\n",
            "periwinkle.toml:2: unknown key `web.cache`; did you mean `db.cache`?",
        ),
        (
            "[web]\ncolour = 'red'\n",
            "periwinkle.toml:2: unknown key `web.colour`; `periwinkle check --reference` lists \
             all",
        ),
        (
            "\n[wbe]\nlisten = []\n",
            "periwinkle.toml:2: unknown section `wbe`; did you mean `web`?",
        ),
        (
            "listen = []\n",
            "periwinkle.toml:1: unknown section `listen`; did you mean `web.listen`?",
        ),
        (
            "web = true\n",
            "periwinkle.toml:1: `web` is a section: write `[web]` and its keys below",
        ),
        (
            "profile = 'prod'\n",
            "periwinkle.toml:1: `profile` is a section: write `[profile]` and its keys below",
        ),
        (
            "[profile]\nprod = 1\n",
            "periwinkle.toml:2: `profile.prod` is a section: write `[profile.prod]` and its keys \
             below",
        ),
        (
            "[profile.prod.profile.x]\n",
            "periwinkle.toml:1: unknown section `profile`; `periwinkle check --reference` lists \
             all",
        ),
    ] {
        assert_eq!(complaint(text), words);
    }
}

#[test]
fn a_wrong_value_is_told_with_what_would_be_right() {
    for (line, words) in [
        (
            "mqtt.schedule = '0 24 * * *'",
            "`mqtt.schedule` has a mistake: `24` is no hour: write `*`, a number from 0 to 23, a \
             range, a list, or a step",
        ),
        (
            "mqtt.schedule = 'nightly'",
            "`mqtt.schedule` has a mistake: `nightly` is no schedule: write `minute hour day month \
             weekday`, or one of anytime, never, day, night, midnight, weekdays, workhours",
        ),
        (
            "mqtt.route = ['model=A; to=a; class=urgent']",
            "`mqtt.route` has a wrong `class`: it must be \"high\", \"normal\" or \"low\", not \
             \"urgent\"",
        ),
        (
            "db.cache = '20 lightyears'",
            "`db.cache` must be a size with its unit, such as \"20 MB\" or \"64 KiB\", not \
             \"20 lightyears\"",
        ),
        (
            "db.cache = 20",
            "`db.cache` must be a size with its unit, such as \"20 MB\" or \"64 KiB\", not 20",
        ),
        (
            "db.flush = '5'",
            "`db.flush` must be a time with its unit, such as \"10 s\" or \"5 mins\", not \"5\"",
        ),
        (
            "db.flush = 'never'",
            "`db.flush` must be a time with its unit, such as \"10 s\" or \"5 mins\", not \
             \"never\"",
        ),
        (
            "db.flush = '2 hours'",
            "`db.flush` must lie between \"10 ms\" and \"1 hour\", not \"2 hours\"",
        ),
        (
            "runtime.threads = 0",
            "`runtime.threads` must lie between 1 and 64, not 0",
        ),
        (
            "runtime.threads = -1",
            "`runtime.threads` must be a whole number, such as `100`, not -1",
        ),
        (
            "runtime.threads = 1.5",
            "`runtime.threads` must be a whole number, such as `100`, not a number with a point",
        ),
        (
            "metrics.enable = 'true'",
            "`metrics.enable` must be `true` or `false`, not \"true\"",
        ),
        (
            "log.level = 'loud'",
            "`log.level` must be \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\", \
             not \"loud\"",
        ),
        (
            "web.listen = 'http://127.0.0.1'",
            "`web.listen` must be a list of listeners, such as `[\"http://127.0.0.1:8080\"]`, not \
             \"http://127.0.0.1\"",
        ),
        (
            "web.listen = ['127.0.0.1:80']",
            "`web.listen` must begin with `http://` or `https://`, not \"127.0.0.1:80\"",
        ),
        (
            "web.hosts = ['pump.local:8080']",
            "`web.hosts` must be a host's name without scheme and port, such as \"pump.local\", \
             not \"pump.local:8080\"",
        ),
        (
            "device.id = 'pump#7'",
            "`device.id` must be 1 to 128 letters, digits, `:`, `_` or `-`, such as \"pump-7\", \
             not \"pump#7\"",
        ),
        (
            "runtime.state = ''",
            "`runtime.state` must be a path, such as \"/var/lib/periwinkle\", not \"\"",
        ),
        (
            "sync.endpoint = 'http://127.0.0.1/path'",
            "`sync.endpoint` must be a URL without a path, such as \"http://127.0.0.1:4566\", not \
             \"http://127.0.0.1/path\"",
        ),
        (
            "db.schema = 1979-05-27",
            "`db.schema` must be a path, such as \"/var/lib/periwinkle\", not a date",
        ),
    ] {
        assert_eq!(complaint(line), format!("periwinkle.toml:1: {words}"));
    }
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let words =
        complaint("[web]\nlistne = []\n[db]\ncache = 5\n[profile.prod.db]\nflush = '1'\n[wbe]\n");
    let places: Vec<&str> = words
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "periwinkle.toml:2",
            "periwinkle.toml:4",
            "periwinkle.toml:6",
            "periwinkle.toml:7"
        ]
    );
}

#[test]
fn each_wrong_element_of_a_list_is_told_with_its_own_line() {
    let watches = "[[upload.watch]]\npattern = '/a'\n\n\
                   [[upload.watch]]\npattern = '/b'\npriority = 10\n\
                   [[upload.watch]]\npatern = '/c'\n";
    let routes = "[[mqtt.route]]\nfrom = 'a'\nmodel = 'A'\nset.id = '${topic}'\n\
                  [[mqtt.route]]\nfrom = 'b'\nmodel = 'B'\n[mqtt.route.set]\nid = '${'\n";
    let texts = "[profile.prod]\nmqtt.route = [\n'a; model=A',\n'b',\n]\n";
    let listeners = "[web]\nlisten = [\n  'http://[::1]:1',\n  'ftp://[::1]:2', ':3',\n]\n";
    for (text, expected) in [
        (
            watches,
            "periwinkle.toml:4: `upload.watch` has a wrong `priority`: it must lie between 0 and \
             9, not 10\n\
             periwinkle.toml:7: `upload.watch` has no key `patern`; did you mean `pattern`?",
        ),
        (
            routes,
            "periwinkle.toml:5: `mqtt.route` has a wrong `set`: it has a wrong `id`: it is no \
             template: `${` without a `}` in \"${\"",
        ),
        (
            texts,
            "periwinkle.toml:4: `mqtt.route` needs the key `model`",
        ),
        (
            listeners,
            "periwinkle.toml:4: `web.listen` must begin with `http://` or `https://`, not \
             \"ftp://[::1]:2\"\n\
             periwinkle.toml:4: `web.listen` must begin with `http://` or `https://`, not \":3\"",
        ),
    ] {
        assert_eq!(complaint(text), expected);
    }
}

#[test]
fn more_errors_than_fit_are_counted() {
    let of = |count: usize| -> String {
        let lines: Vec<String> = (0..count).map(|n| format!("zzzzzz{n} = 1")).collect();
        complaint(&lines.join("\n"))
    };
    let shown = limits::CONFIG_ERRORS_SHOWN_MAX;
    assert_eq!(of(shown).lines().count(), shown);
    assert_eq!(of(shown + 1).lines().last(), Some("and 1 more"));
}

#[test]
fn text_that_is_not_toml_is_told_with_its_line() {
    for (text, place) in [
        ("[web]\nlisten = [\n", "periwinkle.toml:2: "),
        ("[web\n", "periwinkle.toml:1: "),
        (
            "[web]\nhosts = []\nhosts = []\n",
            "periwinkle.toml:3: duplicate key",
        ),
        ("[db]\nflush = 5 s\n", "periwinkle.toml:2: "),
        ("\u{1}", "periwinkle.toml:1: "),
    ] {
        let words = complaint(text);
        assert!(words.starts_with(place), "{words}");
    }
}

#[test]
fn a_file_of_the_largest_size_is_read_and_a_larger_one_is_not() {
    let most = limits::CONFIG_FILE_BYTES_MAX;
    let of = |length: usize| format!("#{}", " ".repeat(length - 1));
    assert!(load(&file(&of(most))).is_ok());
    assert_eq!(
        complaint(&of(most + 1)),
        "periwinkle.toml:1: the file is larger than 1048576 bytes: is it a configuration?"
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z.\\[\\]='\"{}#0-9\n ]|web|db|flush|profile|\\PC){0,60}") {
        let mut sources = file(&text);
        sources.profile = Some("a");
        if let Err(errors) = load(&sources) {
            assert!(!errors.to_string().is_empty());
        }
    }
}
