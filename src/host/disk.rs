//! How much room a disk has.

use std::path::Path;

/// Bytes that a process without privileges may still write where a path is; `None` where the system does not say.
#[cfg(unix)]
#[must_use]
#[expect(unsafe_code, reason = "the standard library does not know how full a disk is")]
pub fn free_bytes(path: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt as _;

    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut told = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the path ends with a zero, `told` is valid for writing, and all zeros are a value of it.
    let told = unsafe {
        if libc::statvfs(path.as_ptr(), told.as_mut_ptr()) != 0 {
            return None;
        }
        told.assume_init()
    };
    // Their types differ from system to system.
    #[allow(clippy::unnecessary_cast, clippy::allow_attributes, reason = "of 32 bits on macOS")]
    let (blocks, size) = (told.f_bavail as u64, told.f_frsize as u64);
    Some(blocks.saturating_mul(size))
}

/// Bytes that may still be written where a path is: this system does not say.
#[cfg(not(unix))]
#[must_use]
pub const fn free_bytes(_path: &Path) -> Option<u64> {
    None
}
