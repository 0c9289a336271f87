//! Names of hosts, in images of any kind.
//!
//! A static program carries the C library's readers of `/etc/hosts` and DNS with it. But where
//! the image's `/etc/nsswitch.conf` names other sources, the C library loads the image's modules
//! for them, and with those a second C library of another version, which may end the program.

/// Keeps name look-ups to what the program itself can do. To be called before the first one.
pub(super) fn use_built_in_sources() {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
    glibc::set_sources(c"hosts", c"files dns");
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
mod glibc {
    use std::ffi::{CStr, c_char, c_int};

    #[expect(unsafe_code, reason = "declares a function of the C library")]
    unsafe extern "C" {
        fn __nss_configure_lookup(database: *const c_char, sources: *const c_char) -> c_int;
    }

    #[expect(unsafe_code, reason = "the C library has no other way to set aside nsswitch.conf")]
    pub(super) fn set_sources(database: &CStr, sources: &CStr) {
        // SAFETY: both texts end with zero and are only read; no other thread is running yet. A
        // failure leaves things as they are.
        let _ = unsafe { __nss_configure_lookup(database.as_ptr(), sources.as_ptr()) };
    }
}
