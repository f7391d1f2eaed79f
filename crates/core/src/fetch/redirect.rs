//! What follows a redirect (RFC 9110, section 15.4).

use super::url::{Scheme, Url, UrlError};
use crate::limits;

/// What is followed, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectPolicy {
    /// Redirects followed in one exchange; zero follows none.
    pub hops_max: u32,
    /// What happens at one from TLS to none.
    pub downgrade: Downgrade,
}

/// What happens at a redirect from `https` to `http`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downgrade {
    /// It is refused.
    Refuse,
    /// It is followed, with nothing but harmless fields as to any stranger.
    Follow,
}

/// The request that was redirected.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// Where it went.
    pub url: &'a Url,
    /// Its method.
    pub method: &'a str,
    /// Whether its body can be sent once more; true when there is none.
    pub body_repeatable: bool,
    /// How many redirects were followed before it.
    pub hops: u32,
}

/// What to do with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It is the answer.
    Stop,
    /// Ask there.
    To(NextHop),
}

/// The next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Where it goes.
    pub url: Url,
    /// Its method.
    pub method: String,
    /// Whether the body goes along. Without it, what describes it stays behind too
    /// ([`is_about_body`]).
    pub body: bool,
    /// Whether it is the same scheme, host and port. To others only fields go along that are
    /// [harmless](is_harmless).
    pub same_origin: bool,
}

/// Why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// There were too many.
    #[error("more than {0} redirects")]
    TooMany(u32),
    /// It leads out of TLS.
    #[error("a redirect from https to http ({0})")]
    Downgrade(Url),
    /// Its address cannot be understood.
    #[error("a redirect to no address: {0}")]
    Url(#[from] UrlError),
    /// The body would have to be sent again, and cannot.
    #[error("a redirect ({0}) that wants the body again, which can be read only once")]
    Body(u16),
}

impl Default for RedirectPolicy {
    fn default() -> RedirectPolicy {
        RedirectPolicy {
            hops_max: limits::FETCH_REDIRECTS_MAX,
            downgrade: Downgrade::Refuse,
        }
    }
}

impl RedirectPolicy {
    /// Decides on an answer with this status and this `Location`.
    ///
    /// # Errors
    /// Why the redirect is not followed.
    pub fn follow(
        &self,
        hop: Hop<'_>,
        status: u16,
        location: Option<&str>,
    ) -> Result<Follow, RedirectError> {
        let (Some(location), 301 | 302 | 303 | 307 | 308) = (location, status) else {
            return Ok(Follow::Stop);
        };
        if self.hops_max == 0 {
            return Ok(Follow::Stop);
        }
        if hop.hops >= self.hops_max {
            return Err(RedirectError::TooMany(self.hops_max));
        }
        let url = hop.url.join(location)?;
        let leaves_tls = hop.url.scheme() == Scheme::Https && url.scheme() == Scheme::Http;
        if leaves_tls && self.downgrade == Downgrade::Refuse {
            return Err(RedirectError::Downgrade(url));
        }
        let method = next_method(hop.method, status);
        let body = method == hop.method && method != "GET" && method != "HEAD";
        if body && !hop.body_repeatable {
            return Err(RedirectError::Body(status));
        }
        Ok(Follow::To(NextHop {
            same_origin: url.origin() == hop.url.origin(),
            url,
            method: method.to_owned(),
            body,
        }))
    }
}

/// 303 means another resource, to be read. 301 and 302 do so for POST, as all clients have it; 307
/// and 308 were made because of that.
fn next_method(method: &str, status: u16) -> &str {
    match (status, method) {
        (303, "HEAD") => "HEAD",
        (303, _) | (301 | 302, "POST") => "GET",
        _ => method,
    }
}

/// Whether a field may reach another host than the one that it was meant for: those that say which
/// answer is wanted, or what the body is. Any other may show who asks, whatever its name, and so
/// does not. Names in small letters.
pub fn is_harmless(name: &str) -> bool {
    let families = ["accept-", "if-"];
    families.iter().any(|family| name.starts_with(family))
        || is_about_body(name)
        || matches!(
            name,
            "accept"
                | "cache-control"
                | "date"
                | "idempotency-key"
                | "last-event-id"
                | "pragma"
                | "prefer"
                | "range"
                | "user-agent"
        )
}

/// Whether a field describes a body. Names in small letters.
pub fn is_about_body(name: &str) -> bool {
    name.starts_with("content-")
        || matches!(name, "transfer-encoding" | "expect" | "trailer" | "digest")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(
        method: &str,
        status: u16,
        from: &str,
        location: &str,
    ) -> Result<Follow, RedirectError> {
        let url = Url::parse(from).unwrap();
        let hop = Hop {
            url: &url,
            method,
            body_repeatable: true,
            hops: 0,
        };
        RedirectPolicy::default().follow(hop, status, Some(location))
    }

    fn next(method: &str, status: u16, from: &str, location: &str) -> NextHop {
        match follow(method, status, from, location).unwrap() {
            Follow::To(next) => next,
            Follow::Stop => panic!("not followed"),
        }
    }

    #[test]
    fn the_status_decides_method_and_body() {
        let cases = [
            (301, "GET", "GET", false),
            (301, "HEAD", "HEAD", false),
            (301, "POST", "GET", false),
            (301, "PUT", "PUT", true),
            (302, "POST", "GET", false),
            (302, "DELETE", "DELETE", true),
            (303, "POST", "GET", false),
            (303, "PUT", "GET", false),
            (303, "HEAD", "HEAD", false),
            (307, "POST", "POST", true),
            (307, "GET", "GET", false),
            (308, "POST", "POST", true),
            (308, "PATCH", "PATCH", true),
        ];
        for (status, method, expected, body) in cases {
            let next = next(method, status, "http://h/a", "b");
            assert_eq!(
                (next.method.as_str(), next.body),
                (expected, body),
                "{status} {method}"
            );
            assert_eq!(next.url.to_string(), "http://h/b");
        }
    }

    #[test]
    fn an_answer_that_is_no_redirect_is_the_answer() {
        for status in [200, 300, 304, 305, 306, 400] {
            assert_eq!(
                follow("GET", status, "http://h/", "/b"),
                Ok(Follow::Stop),
                "{status}"
            );
        }
        let url = Url::parse("http://h/").unwrap();
        let hop = Hop {
            url: &url,
            method: "GET",
            body_repeatable: true,
            hops: 0,
        };
        assert_eq!(
            RedirectPolicy::default().follow(hop, 301, None),
            Ok(Follow::Stop)
        );
        let none = RedirectPolicy {
            hops_max: 0,
            ..RedirectPolicy::default()
        };
        assert_eq!(none.follow(hop, 301, Some("/b")), Ok(Follow::Stop));
    }

    #[test]
    fn what_may_show_who_asks_goes_to_the_same_origin_only() {
        let kept = |from: &str, to: &str| next("GET", 302, from, to).same_origin;
        assert!(kept("https://h/a", "/b"));
        assert!(kept("https://h/a", "https://H:443/b"));
        assert!(!kept("https://h/a", "https://h:8443/b"));
        assert!(!kept("https://h/a", "https://sub.h/b"));
        assert!(!kept("https://sub.h/a", "https://h/b"));
        assert!(!kept("http://h/a", "https://h/b"));
        assert!(!kept("http://h:8080/a", "https://h:8080/b"));
        assert!(!kept("https://h/a", "//evil.example/"));
        for harmless in [
            "accept",
            "accept-language",
            "content-type",
            "range",
            "if-range",
        ] {
            assert!(is_harmless(harmless), "{harmless}");
        }
        for telling in [
            "authorization",
            "cookie",
            "x-token",
            "api-key",
            "referer",
            "x-a",
            "host",
        ] {
            assert!(!is_harmless(telling), "{telling}");
        }
        assert!(is_about_body("content-length") && !is_about_body("accept"));
    }

    #[test]
    fn tls_is_left_only_on_demand() {
        let target = Url::parse("http://h/b").unwrap();
        assert_eq!(
            follow("GET", 302, "https://h/a", "http://h/b"),
            Err(RedirectError::Downgrade(target))
        );
        let url = Url::parse("https://h/a").unwrap();
        let hop = Hop {
            url: &url,
            method: "GET",
            body_repeatable: true,
            hops: 0,
        };
        let policy = RedirectPolicy {
            downgrade: Downgrade::Follow,
            ..RedirectPolicy::default()
        };
        let Ok(Follow::To(next)) = policy.follow(hop, 302, Some("http://h/b")) else {
            panic!("not followed");
        };
        assert!(!next.same_origin);
    }

    #[test]
    fn a_loop_ends_and_a_spent_body_is_not_made_up() {
        let url = Url::parse("http://h/").unwrap();
        let max = limits::FETCH_REDIRECTS_MAX;
        let hop = |hops, body_repeatable| Hop {
            url: &url,
            method: "POST",
            body_repeatable,
            hops,
        };
        let policy = RedirectPolicy::default();
        assert!(policy.follow(hop(max - 1, true), 307, Some("/")).is_ok());
        assert_eq!(
            policy.follow(hop(max, true), 307, Some("/")),
            Err(RedirectError::TooMany(max))
        );
        assert_eq!(
            policy.follow(hop(0, false), 307, Some("/")),
            Err(RedirectError::Body(307))
        );
        assert!(policy.follow(hop(0, false), 303, Some("/")).is_ok());
        assert!(matches!(
            policy.follow(hop(0, true), 302, Some("ftp://h/")),
            Err(RedirectError::Url(_))
        ));
    }
}
