//! What can stand together, and what needs to be compiled in.

use super::*;

#[test]
fn values_that_cannot_stand_together_are_refused() {
    for (text, words) in [
        (
            "[sync]\nenable = true\nregion = 'eu-central-1'\n",
            "periwinkle.toml:2: `sync.enable` needs the table's name in `sync.table`",
        ),
        (
            "[sync]\nenable = true\ntable = 'periwinkle'\n",
            "periwinkle.toml:2: `sync.enable` needs the table's region in `sync.region`",
        ),
        (
            "[sync]\nendpoint = 'http://192.168.0.1:4566'\n",
            "periwinkle.toml:2: `sync.endpoint` http://192.168.0.1:4566 has no TLS and is not \
             this machine: use `https://`, or set `sync.insecure_endpoint = true` in a test \
             network",
        ),
        (
            "[fetch]\ncertificate = 'c.pem'\n",
            "periwinkle.toml:2: `fetch.certificate` needs its private key in `fetch.key`",
        ),
        (
            "[mqtt]\nkey = 'k.pem'\n",
            "periwinkle.toml:2: `mqtt.key` needs its certificate in `mqtt.certificate`",
        ),
        (
            "[fetch]\nkey = 'k.pem'\n",
            "periwinkle.toml:2: `fetch.key` needs its certificate in `fetch.certificate`",
        ),
        (
            "[fetch]\nproxy_login_file = 'l'\n",
            "periwinkle.toml:2: `fetch.proxy_login_file` is used only with `fetch.proxy`",
        ),
        (
            "[mqtt]\nproxy = 'http://na:pa@p'\nproxy_login_file = 'l'\n",
            "periwinkle.toml:3: `mqtt.proxy_login_file` cannot be set when `mqtt.proxy` holds a \
             login",
        ),
        (
            "[sync]\ncredentials = 'file'\n",
            "periwinkle.toml:2: `sync.credentials = \"file\"` needs the file in \
             `sync.credentials_file`",
        ),
        (
            "[sync]\ncredentials_file = 'c'\n",
            "periwinkle.toml:2: `sync.credentials_file` is used only with `sync.credentials = \
             \"file\"`",
        ),
        (
            "[upload]\nenable = true\nregion = 'eu-central-1'\n",
            "periwinkle.toml:2: `upload.enable` needs the bucket's name in `upload.bucket`",
        ),
        (
            "[upload]\nenable = true\nbucket = 'abc'\n",
            "periwinkle.toml:2: `upload.enable` needs the bucket's region in `upload.region`",
        ),
        (
            "[upload]\nendpoint = 'http://192.168.0.1:4566'\n",
            "periwinkle.toml:2: `upload.endpoint` http://192.168.0.1:4566 has no TLS and is not \
             this machine: use `https://`, or set `upload.insecure_endpoint = true` in a test \
             network",
        ),
        (
            "[[upload.watch]]\npattern = '/v/*'\n[[upload.watch]]\npattern = '/v/*'\nremove = true\n",
            "periwinkle.toml:1: `upload.watch` names /v/* twice, and a file is uploaded once only",
        ),
        (
            "[upload]\nrate_max = '0 B'\n",
            "periwinkle.toml:2: `upload.rate_max` must lie between \"1 KiB\" and \"1 TiB\", not \
             \"0 B\"",
        ),
        (
            "[[upload.watch]]\npattern = '/v/*'\nremov = true\n",
            "periwinkle.toml:1: `upload.watch` has no key `remov`; did you mean `remove`?",
        ),
        (
            "[web]\nlisten = ['https://127.0.0.1:1']\n",
            "periwinkle.toml:2: https://127.0.0.1:1 in `web.listen` needs `web.tls_certificate` \
             and `web.tls_key`",
        ),
        (
            "[web]\ntls_certificate = 'c.pem'\n",
            "periwinkle.toml:2: `web.tls_certificate` needs its private key in `web.tls_key`",
        ),
        (
            "[web]\ntls_key = 'k.pem'\n",
            "periwinkle.toml:2: `web.tls_key` needs its certificate in `web.tls_certificate`",
        ),
        (
            "[web]\nlisten = ['http://[::1]:1', 'http://[::1]:1']\n",
            "periwinkle.toml:2: `web.listen` names the address of http://[::1]:1 twice",
        ),
        (
            "[metrics]\nrow = '5 s'\ninterval = '10 s'\n",
            "periwinkle.toml:2: `metrics.row` sums up samples and cannot be shorter than \
             `metrics.interval`",
        ),
        (
            "[metrics]\ninterval = '10 mins'\n",
            "periwinkle.toml:2: `metrics.row` sums up samples and cannot be shorter than \
             `metrics.interval`",
        ),
    ] {
        assert_eq!(complaint(text), words);
    }
}

#[test]
fn combinations_that_work_are_not_refused() {
    for text in [
        "[sync]\nenable = true\ntable = 'abc'\nregion = 'eu-central-1'\n",
        "[sync]\nendpoint = 'http://192.168.0.1'\ninsecure_endpoint = true\n",
        "[upload]\nenable = true\nbucket = 'abc'\nregion = 'eu-central-1'\n",
        "[[upload.watch]]\npattern = '/v/*'\n[[upload.watch]]\npattern = 'w/*'\nremove = true\n",
        "[sync]\nendpoint = 'https://dynamodb.eu-central-1.amazonaws.com'\n",
        "[sync]\nendpoint = 'http://localhost:4566'\n",
        "[sync]\ncredentials = 'file'\ncredentials_file = 'c'\n",
        "[sync]\ncredentials = 'env'\ncredentials_file = 'c'\n",
        "[web]\nlisten = ['https://*']\ntls_certificate = 'c'\ntls_key = 'k'\n",
        "[web]\nlisten = ['http://127.0.0.1:0', 'http://127.0.0.1:0']\n",
        "[web]\nlisten = []\n",
        "[metrics]\nrow = '10 s'\ninterval = '10 s'\n",
    ] {
        config(&file(text));
    }
}

#[test]
fn a_socket_path_of_107_bytes_is_the_longest() {
    let explicit = |length: usize| format!("control.socket = '/{}'", "s".repeat(length - 1));
    config(&file(&explicit(107)));
    assert_eq!(
        complaint(&explicit(108)),
        "periwinkle.toml:1: the path of the control socket has 108 bytes and Linux takes 107: \
         choose a shorter one"
    );
    let state = format!("runtime.state = '/{}'", "s".repeat(107));
    assert_eq!(
        complaint(&state),
        "periwinkle.toml:1: the path of the control socket has 121 bytes and Linux takes 107: \
         set `control.socket` to a shorter path, such as \"/run/periwinkle.sock\""
    );
}

#[test]
fn patterns_that_may_name_the_same_files_are_hinted_at() {
    let watches = |one: &str, two: &str| {
        let text =
            format!("[[upload.watch]]\npattern = '{one}'\n[[upload.watch]]\npattern = '{two}'");
        load(&file(&text)).unwrap().hints
    };
    assert_eq!(
        watches("/v/*.jpg", "/v/door*"),
        [
            "`upload.watch` /v/*.jpg and /v/door* may name the same files: each is uploaded once, \
             by the one that finds it first"
        ]
    );
    assert!(watches("/v/*.jpg", "/v/*.png").is_empty());
}

#[test]
fn a_listener_that_refuses_logins_is_hinted_at() {
    let hints = |text: &str| load(&file(text)).unwrap().hints;
    assert_eq!(
        hints("web.listen = ['http://*:80']"),
        ["http://*:80 has no TLS: logins are refused there, unless `web.insecure_login` is true"]
    );
    assert_eq!(
        hints("web.listen = ['http://*:80']\nweb.insecure_login = true"),
        [
            "http://*:80 has no TLS and `web.insecure_login` is true: passwords can be read on \
             the way"
        ]
    );
    assert!(hints("web.listen = ['http://localhost:80']").is_empty());
}

#[test]
fn asking_for_what_was_compiled_out_is_an_error() {
    let mut sources = file("[sync]\nenable = true\ntable = 'abc'\n[metrics]\nenable = false\n");
    sources.features = &["web"];
    assert_eq!(
        load(&sources).unwrap_err().to_string(),
        "periwinkle.toml:2: `sync.enable` needs the feature `sync`, which is not compiled into \
         this program\n\
         periwinkle.toml:3: `sync.table` needs the feature `sync`, which is not compiled into \
         this program"
    );
}

#[test]
fn what_was_compiled_out_is_off_and_not_shown() {
    let mut sources = file("[metrics]\nenable = false\n[profile.cloud.sync]\nenable = true\n");
    sources.features = &["web"];
    let loaded = load(&sources).unwrap();
    let shown = |prefix: &str| loaded.effective.iter().any(|v| v.key.starts_with(prefix));
    assert!(shown("web.") && shown("db.") && shown("control."));
    assert!(!shown("metrics.") && !shown("sync."));
    sources.file = None;
    assert!(!config(&sources).metrics.enable);
}
