//! Through proxies that are not ours.

use super::{DONE, Place, UNREACHABLE, USAGE, fetch};
use crate::certificates::Authority;
use crate::nginx::{FAR, Nginx};
use crate::proxies::Proxy;

#[test]
fn a_plain_request_goes_through_either_kind_of_proxy() {
    let nginx = Nginx::plain();
    for proxy in [Proxy::http(), Proxy::socks()] {
        let ran = fetch(&[&nginx.far_url("/hello"), "--proxy", &proxy.url()]).expect(DONE);
        assert_eq!(ran.text(), "hello\n");
        assert_eq!(proxy.connections_to(FAR), 1, "{}", proxy.url());
    }
}

#[test]
fn what_comes_from_standard_input_is_not_lost_to_the_question_of_a_proxy() {
    let (nginx, proxy) = (Nginx::plain(), Proxy::http());
    let body = b"periwinkle ".repeat(100_000);
    let words = [
        "PUT",
        &nginx.far_url("/put/told"),
        "@-",
        "--proxy",
        &proxy.url(),
    ];
    Place::new().fetch_with_input(&words, &body).expect(DONE);
    assert!(std::fs::read(nginx.place("put/told")).unwrap() == body);
    assert_eq!(nginx.log().len(), 1);
}

#[test]
fn tls_goes_through_a_tunnel_and_is_judged_by_us() {
    let (authority, unknown) = (Authority::new(), Authority::new());
    let nginx = Nginx::tls(&authority.server(&[FAR]), None);
    for proxy in [Proxy::http(), Proxy::socks()] {
        let ask = |authority: &Authority| {
            let ca = authority.certificate().display().to_string();
            fetch(&[
                &nginx.far_url("/hello"),
                "--proxy",
                &proxy.url(),
                "--ca",
                &ca,
            ])
        };
        assert_eq!(ask(&authority).expect(DONE).text(), "hello\n");
        ask(&unknown).expect(UNREACHABLE).tells("authority");
        assert_eq!(proxy.connections_to(FAR), 2, "{}", proxy.url());
    }
}

#[test]
fn a_proxy_that_refuses_us_is_told_from_the_server() {
    let authority = Authority::new();
    let ca = authority.certificate().display().to_string();
    let nginx = Nginx::tls(&authority.server(&[FAR]), None);
    for proxy in [Proxy::http(), Proxy::socks()] {
        fetch(&[
            &nginx.far_url("/hello"),
            "--proxy",
            &proxy.wrong_url(),
            "--ca",
            &ca,
        ])
        .expect(UNREACHABLE)
        .tells("proxy");
        assert_eq!(proxy.connections_to(FAR), 0);
    }
    assert_eq!(nginx.log(), [""; 0]);
}

#[test]
fn a_server_behind_the_proxy_that_is_not_there_is_named() {
    for proxy in [Proxy::http(), Proxy::socks()] {
        let words = ["https://0.0.0.0:1/", "--proxy", &proxy.url()];
        fetch(&words).expect(UNREACHABLE).tells("0.0.0.0:1");
    }
}

#[test]
fn the_environment_names_proxies_and_exceptions() {
    let nginx = Nginx::plain();
    let proxy = Proxy::http();
    let through = |place: Place| {
        let before = proxy.connections_to(FAR);
        place.fetch(&[&nginx.far_url("/hello")]).expect(DONE);
        proxy.connections_to(FAR) - before
    };
    let place = || Place::new().env("http_proxy", &proxy.url());
    assert_eq!(through(place()), 1);
    assert_eq!(through(place().env("no_proxy", "example.com,0.0.0.0")), 0);
    assert_eq!(through(Place::new().env("https_proxy", &proxy.url())), 0);
    assert_eq!(through(Place::new().env("ALL_PROXY", &proxy.url())), 1);
    let words = [&nginx.far_url("/hello"), "--proxy", "none"];
    place().fetch(&words).expect(DONE);
    assert_eq!(proxy.connections_to(FAR), 2);
}

#[test]
fn what_is_odd_in_the_environment_is_ignored_or_matters_to_its_own_scheme() {
    let nginx = Nginx::plain();
    let proxy = Proxy::http();
    let place = || Place::new().env("http_proxy", &proxy.url());
    let odd = place().env("no_proxy", "10.1.2.,192.168.*,example.com");
    let ran = odd.fetch(&[&nginx.far_url("/hello")]).expect(DONE);
    let ran = ran.tells("\"10.1.2.\"").tells("\"192.168.*\"");
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
    assert_eq!(proxy.connections_to(FAR), 1);
    let odd = place().env("https_proxy", "ftp://x");
    odd.fetch(&[&nginx.far_url("/hello")]).expect(DONE);
    assert_eq!(proxy.connections_to(FAR), 2);
    let ran = odd.fetch(&["https://example.com/", "--retries", "3"]);
    ran.expect(UNREACHABLE).tells("https_proxy");
}

#[test]
fn a_proxy_that_cannot_be_understood_is_a_mistake_of_the_line() {
    fetch(&["http://localhost:1/", "--proxy", "ftp://x"]).expect(USAGE);
}

#[test]
fn this_machine_is_reached_without_a_proxy() {
    let nginx = Nginx::plain();
    let proxy = Proxy::http();
    fetch(&[&nginx.url("/hello"), "--proxy", &proxy.url()]).expect(DONE);
    assert_eq!(proxy.connections_to("localhost"), 0);
}
