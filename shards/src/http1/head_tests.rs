use super::*;
use proptest::prelude::*;

fn request(text: &str) -> Result<Option<RequestHead>, Violation> {
    parse_request(text.as_bytes(), HeadLimits::default())
}

fn response(text: &str) -> Result<Option<ResponseHead>, Violation> {
    parse_response(text.as_bytes(), &Method::POST, HeadLimits::default())
}

#[test]
fn a_plain_post_is_understood() {
    let text =
        "POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\nX-Empty:\r\n\r\nabc";
    let head = request(text).unwrap().unwrap();
    assert_eq!(head.method, Method::POST);
    assert_eq!(&text[head.target.clone()], "/v1/chat/completions?x=1");
    assert_eq!(head.framing, Framing::Length(3));
    assert!(head.keep_alive && !head.expects_continue);
    assert_eq!(&text[head.len..], "abc");
    let empty = head.fields.last().unwrap();
    assert_eq!((empty.name(text.as_bytes()), empty.value(text.as_bytes())), (&b"X-Empty"[..], &b""[..]));
}

#[test]
fn each_broken_rule_is_named() {
    let get = |headers: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    for (text, rule) in [
        (get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), Violation::BothLengths),
        (get("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), Violation::BothLengths),
        (get("Content-Length: 1\r\nContent-Length: 2\r\n"), Violation::ContentLength),
        (get("Content-Length: 1, 2\r\n"), Violation::ContentLength),
        (get("Content-Length: -1\r\n"), Violation::ContentLength),
        (get("Content-Length: +1\r\n"), Violation::ContentLength),
        (get("Content-Length: 0x10\r\n"), Violation::ContentLength),
        (get("Content-Length:\r\n"), Violation::ContentLength),
        (get("Content-Length: 99999999999999999999\r\n"), Violation::ContentLength),
        (get("Transfer-Encoding: gzip, chunked\r\n"), Violation::TransferEncoding),
        (get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Violation::TransferEncoding),
        (get("Transfer-Encoding: xchunked\r\n"), Violation::TransferEncoding),
        (get("Transfer-Encoding : chunked\r\n"), Violation::Malformed),
        (get("X: a\r\n b\r\n"), Violation::Malformed),
        (get("X: a\nY: b\r\n"), Violation::BareLineEnd),
        (get("X: a\rb\r\n"), Violation::Malformed),
        (get("X: a\0b\r\n"), Violation::Malformed),
        (get("Host: b\r\n"), Violation::Host),
        (get("Expect: 200-maybe\r\n"), Violation::Expectation),
        ("GET / HTTP/1.1\r\n\r\n".into(), Violation::Host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), Violation::Host),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), Violation::Host),
        ("GET / HTTP/1.1\nHost: a\n\n".into(), Violation::BareLineEnd),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), Violation::Version),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".into(), Violation::Version),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n".into(), Violation::Malformed),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n".into(), Violation::Malformed),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), Violation::TransferEncoding),
        (get(&"X: 1\r\n".repeat(200)), Violation::TooManyHeaders),
        (get(&format!("X: {}\r\n", "a".repeat(40_000))), Violation::HeadTooLarge),
        (format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(40_000)), Violation::HeadTooLarge),
    ] {
        let got = request(&text).map(|_| ());
        // httparse names a few of them by the byte it stumbled over; being refused is what counts there.
        let lenient = matches!(rule, Violation::Malformed | Violation::BareLineEnd | Violation::Version);
        match got {
            Err(named) if named == rule || lenient => {}
            other => panic!("{text:.80?}: wanted {rule:?}, got {other:?}"),
        }
    }
}

#[test]
fn equal_repeated_lengths_are_one_length() {
    let head = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(head.unwrap().unwrap().framing, Framing::Length(5));
}

#[test]
fn persistence_follows_version_and_connection() {
    for (text, keep) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
    ] {
        assert_eq!(request(text).unwrap().unwrap().keep_alive, keep, "{text}");
    }
}

#[test]
fn absolute_form_keeps_only_path_and_query() {
    for (target, path) in [
        ("http://h:1/v1/models?a=b", "/v1/models?a=b"),
        ("HTTPS://h/", "/"),
        ("http://h", ""),
        ("http://h?q", "?q"),
        ("*", "*"),
    ] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = request(&text).unwrap().unwrap();
        assert_eq!(&text[head.target], path, "{target}");
    }
}

#[test]
fn fields_named_by_connection_are_marked() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-hop, keep-alive\r\nX-Hop: 1\r\nX-End: 2\r\n\r\n";
    let head = request(text).unwrap().unwrap();
    let marked: Vec<_> =
        head.fields.iter().filter(|f| f.nominated).map(|f| f.name(text.as_bytes())).collect();
    assert_eq!(marked, [b"X-Hop"]);
}

#[test]
fn response_bodies_are_delimited_as_the_rfc_says() {
    let of = |text: &str, method: Method| {
        parse_response(text.as_bytes(), &method, HeadLimits::default()).unwrap().unwrap().framing
    };
    assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::POST), Framing::Length(5));
    assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::HEAD), Framing::None);
    assert_eq!(of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Method::GET), Framing::Chunked);
    assert_eq!(of("HTTP/1.1 200 OK\r\n\r\n", Method::GET), Framing::UntilClose);
    assert_eq!(of("HTTP/1.1 204 No Content\r\n\r\n", Method::GET), Framing::None);
    assert_eq!(of("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Method::GET), Framing::None);
    assert_eq!(of("HTTP/1.1 100 Continue\r\n\r\n", Method::POST), Framing::None);
    assert!(!response("HTTP/1.1 200 OK\r\n\r\n").unwrap().unwrap().keep_alive);
    assert_eq!(
        response("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n").unwrap_err(),
        Violation::ContentLength
    );
    assert!(response("SSH-2.0-OpenSSH_9.2\r\n\r\n").is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_request(&bytes, HeadLimits::default());
        let _ = parse_response(&bytes, &Method::GET, HeadLimits::default());
    }

    #[test]
    fn almost_http_never_panics(text in "(GET|POST) [ -~]{0,20} HTTP/1\\.[01]\r\n([A-Za-z-]{1,20}: ?[ -~]{0,20}\r\n){0,8}\r\n") {
        let _ = request(&text);
    }

    #[test]
    fn a_head_is_incomplete_until_its_last_byte(cut in 0usize..90) {
        let text = "POST /v1/embeddings HTTP/1.1\r\nHost: localhost:2906\r\nContent-Length: 12\r\nA: b\r\n\r\n";
        prop_assume!(cut < text.len());
        prop_assert!(request(&text[..cut]).unwrap().is_none());
    }
}
