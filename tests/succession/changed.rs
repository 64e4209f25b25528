//! Successors that are to serve in another way.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use crate::dynasty::Dynasty;
use crate::peers::Crowd;
use crate::server::{free_address, until, usable_engines};

/// A configuration that changes.
struct Configuration {
    folder: tempfile::TempDir,
}

impl Configuration {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = Configuration { folder };
        configuration.write(text);
        configuration
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ringback.toml")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).expect("a file");
    }

    /// A server that reads it.
    fn serve(&self) -> Dynasty {
        let path = self.path();
        let option = path.to_str().expect("UTF-8");
        Dynasty::found("", &["--config", option])
    }
}

/// Whoever was there is served, and so is whoever comes, by whatever queue.
fn restart(dynasty: &mut Dynasty, crowd: &mut Crowd, count: usize) {
    crowd.begin();
    assert_eq!(dynasty.restart(), count);
    crowd.end();
    Crowd::gather(dynasty.address, 40).speak(1);
}

#[test]
fn each_queue_has_somebody_who_accepts_however_many_workers_there_are() {
    let address = free_address();
    let text = |workers| format!("listen = '{address}'\nengine = 'epoll'\nworkers = {workers}");
    let configuration = Configuration::new(&text(1));
    let mut dynasty = configuration.serve();
    let mut crowd = Crowd::gather(dynasty.address, 30);
    for workers in [3, 2, 4, 1] {
        configuration.write(&text(workers));
        restart(&mut dynasty, &mut crowd, 30);
    }
    assert_eq!(dynasty.abdicate(), Some(0));
}

#[test]
fn one_engine_succeeds_another() {
    let address = free_address();
    let text = |engine| format!("listen = '{address}'\nengine = '{engine}'\nworkers = 2");
    let engines = usable_engines();
    let configuration = Configuration::new(&text("epoll"));
    let mut dynasty = configuration.serve();
    let mut crowd = Crowd::gather(dynasty.address, 30);
    // Each after each.
    for engine in engines
        .iter()
        .flat_map(|one| engines.iter().flat_map(move |other| [one, other]))
    {
        configuration.write(&text(engine));
        restart(&mut dynasty, &mut crowd, 30);
    }
    assert_eq!(dynasty.abdicate(), Some(0));
}

#[test]
fn addresses_come_and_go() {
    for engine in usable_engines() {
        let [first, second, third] = [free_address(), free_address(), free_address()];
        let text =
            |one, other| format!("listen = ['{one}', '{other}']\nengine = '{engine}'\nworkers = 2");
        let configuration = Configuration::new(&text(first, second));
        let mut dynasty = configuration.serve();
        let mut crowds = [first, second].map(|it| Crowd::gather(it, 10));
        configuration.write(&text(second, third));
        crowds.iter_mut().for_each(Crowd::begin);
        assert_eq!(dynasty.restart(), 20);
        crowds.iter_mut().for_each(Crowd::end);
        // Before the successor says that it took over, or behind that.
        until("the first one ends", || {
            (dynasty.has_said("served ") > 0).then_some(())
        });
        for address in [second, third] {
            Crowd::gather(address, 10).speak(1);
        }
        assert!(
            TcpStream::connect(first).is_err(),
            "nobody listens on {first}"
        );
        let log = dynasty.log();
        assert_eq!(dynasty.abdicate(), Some(0), "{log:#?}");
    }
}

#[test]
fn an_address_that_is_not_to_be_had_is_no_successors() {
    let address = free_address();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = taken.local_addr().expect("an address");
    let configuration = Configuration::new(&format!("listen = '{address}'\nengine = 'epoll'"));
    let mut dynasty = configuration.serve();
    let mut crowd = Crowd::gather(dynasty.address, 10);
    configuration.write(&format!(
        "listen = ['{address}', '{other}']\nengine = 'epoll'"
    ));
    dynasty.ask();
    dynasty.hears("another process listens there");
    dynasty.hears("cannot hand over to a successor: ");
    crowd.speak(1);
}

/// The limit is one, whoever serves.
#[test]
fn those_who_are_handed_over_count() {
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found(engine, &["--max-connections", "20"]);
        let mut crowd = Crowd::gather(dynasty.address, 20);
        for _ in 0..2 {
            assert_eq!(dynasty.restart(), 20);
            let mut surplus = crate::wire::Wire::to(dynasty.address);
            surplus.send(&crate::support::request::upgrade());
            surplus.read_response().assert_refused(503);
        }
        crowd.speak(1);
        drop(crowd);
        let served = || {
            let mut wire = crate::wire::Wire::to(dynasty.address);
            wire.send(&crate::support::request::upgrade());
            (wire.read_response().status == 101).then_some(())
        };
        until("there is room again", served);
    }
}
