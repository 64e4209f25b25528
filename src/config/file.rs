//! Reading the file that `--config` names.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// More than anyone writes into a file of a few dozen options.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The text of a regular file. A device could go on for ever, and a pipe never begin.
///
/// # Errors
/// Where it cannot be opened or read, or is no regular file of UTF-8 text, or too long.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let refuse = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
    let file = File::options()
        .read(true)
        // Opening a pipe would wait for whoever writes to it.
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(refuse("it is no regular file"));
    }
    let mut text = String::new();
    // Not by the length that it claims: a file of /proc claims none.
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(refuse("it has more than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_of_some_length_is_read_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringback.toml");
        let longest = "#".repeat(FILE_BYTES_MAX as usize);
        std::fs::write(&path, &longest).unwrap();
        assert_eq!(read(&path).unwrap(), longest);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link).unwrap(), longest);
        std::fs::write(&path, longest + "#").unwrap();
        let told = |path: &Path| read(path).unwrap_err().to_string();
        assert_eq!(told(&path), "it has more than 1 MiB");
        assert_eq!(told(directory.path()), "it is no regular file");
        assert_eq!(told(Path::new("/dev/zero")), "it is no regular file");
    }
}
