//! How the programs are linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Relocations take a twentieth of the room: a megabyte that each process reads when it starts.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
