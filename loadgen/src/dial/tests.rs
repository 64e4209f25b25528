//! Where connections go, and what is refused before any is begun.

use std::net::{SocketAddr, TcpListener};

use super::*;

fn options(urls: &[String]) -> TargetOptions {
    let mut options = TargetOptions::to(Target::parse(&urls[0]).unwrap());
    options.urls = urls.iter().map(|url| Target::parse(url).unwrap()).collect();
    options
}

#[test]
fn connections_go_to_the_urls_in_turn() {
    let listeners: Vec<TcpListener> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let addresses: Vec<SocketAddr> = listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap())
        .collect();
    let urls: Vec<String> = addresses
        .iter()
        .map(|address| format!("tcp://{address}"))
        .collect();
    let dialer = Dialer::from_options(&options(&urls)).unwrap();
    assert_eq!((dialer.routes(), dialer.addresses()), (3, vec![]));
    for ordinal in [4, 0, 5, 1] {
        let (address, _socket) = dialer.begin(ordinal, None).unwrap();
        listeners[ordinal % 3].accept().unwrap();
        dialer.stands(ordinal, address);
    }
    let peers: Vec<Peer> = addresses.into_iter().map(Peer::Network).collect();
    assert_eq!(dialer.addresses(), peers.iter().collect::<Vec<_>>());
}

#[test]
fn addresses_are_tried_in_turn_until_one_stands() {
    let mut dialer = Dialer::from_options(&options(&["tcp://127.0.0.1:9".to_owned()])).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = Peer::Network(listener.local_addr().unwrap());
    let nowhere = Peer::Unix("/nonexistent/socket".into());
    dialer.routes[0].peers = vec![nowhere.clone(), here.clone(), nowhere, here.clone()];
    let at = |last| Some(dialer.begin(0, last).ok()?.0);
    assert_eq!(
        [at(None), at(Some(1)), at(Some(3))],
        [Some(1), Some(3), None]
    );
    dialer.stands(0, 1);
    assert_eq!(
        [at(None), at(Some(1)), at(Some(3))],
        [Some(1), None, Some(1)]
    );
    assert_eq!(dialer.addresses(), [&here]);
}

#[test]
fn options_that_cannot_be_followed_are_usage_errors() {
    let refused = |change: fn(&mut TargetOptions)| {
        let mut options = options(&["wss://127.0.0.1:9".to_owned()]);
        options.tls.tls_insecure = true;
        change(&mut options);
        let error = Dialer::from_options(&options).err().unwrap();
        assert!(error.is::<UsageError>(), "{error}");
        error.to_string()
    };
    refused(|options| {
        options.tls.tls_insecure = false;
        options.tls.tls_ca = Some("/nonexistent".into());
    });
    refused(|options| options.urls[0].host = "a..b".to_owned());
    let error = refused(|options| options.way.source = vec!["::1".parse().unwrap()]);
    assert!(error.contains("no address of that kind"), "{error}");
    let error = refused(|options| {
        options.tls.tls_cert = Some("/nonexistent".into());
        options.tls.tls_key = Some("/nonexistent".into());
    });
    assert!(error.contains("--tls-cert /nonexistent"), "{error}");
}
