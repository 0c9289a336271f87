//! Listening for both families of addresses.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

/// How many connections may wait, as for the listeners that tokio makes.
const BACKLOG: u32 = 1024;

/// Listens on all addresses; on those of IPv4 alone where a machine has no others.
pub(crate) async fn on_all(port: u16) -> io::Result<TcpListener> {
    match on_both_families(port) {
        Err(error) if error.kind() != ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        listener => listener,
    }
}

fn on_both_families(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    // Machines differ in what they do unasked.
    SockRef::from(&socket).set_only_v6(false)?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv6Addr::UNSPECIFIED, port).into())?;
    socket.listen(BACKLOG)
}
