//! Volumes, as files in the step's directory.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapVolumeSource, Volume};
use relay_model::tekton::{TaskSpec, TaskStep};
use relay_tools::entrypoint::TOOLS_DIR;

/// A volume and where the container sees it.
#[derive(Debug, PartialEq)]
pub(super) struct Mount<'a> {
    path: &'a Path,
    volume: &'a str,
    pub(super) source: Source<'a>,
}

/// What is in a volume.
#[derive(Debug, PartialEq)]
pub(super) enum Source<'a> {
    ConfigMap(&'a ConfigMapVolumeSource),
    Empty,
    /// The runtime tools, which are on this machine already.
    Tools,
}

/// A volume that cannot be files.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MountError {
    #[error("volume {0:?} is mounted but not declared")]
    Undeclared(String),
    #[error("volume {0:?} is neither a ConfigMap nor empty")]
    Kind(String),
    #[error("{0:?} is no path within a volume")]
    Path(String),
    #[error("ConfigMap {name:?} has no key {key:?}")]
    Key { name: String, key: String },
}

/// A file that a volume holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Within the step's directory.
    path: PathBuf,
    bytes: Vec<u8>,
    mode: u32,
}

/// The directory of a step.
#[derive(Clone, Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where the program starts.
    pub(super) fn workspace(&self) -> PathBuf {
        self.0.join("workspace")
    }

    /// Where a path of the container is on this machine.
    pub(super) fn locate(&self, path: &Path, mounts: &[Mount<'_>], tools: &Path) -> PathBuf {
        let mount = mounts
            .iter()
            .filter_map(|mount| Some((mount, path.strip_prefix(mount.path).ok()?)))
            .max_by_key(|(mount, _)| mount.path.as_os_str().len());
        match mount {
            None => path.to_owned(),
            Some((Mount { source: Source::Tools, .. }, rest)) => tools.join(rest),
            Some((mount, rest)) => self.0.join(mount.root()).join(rest),
        }
    }

    /// Makes the directory and what is in it. Blocks.
    pub(super) fn fill(&self, volumes: &[PathBuf], files: &[File]) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(self.workspace())?;
        for volume in volumes {
            builder.create(self.0.join(volume))?;
        }
        for File { path, bytes, mode } in files {
            let path = self.0.join(path);
            if let Some(parent) = path.parent() {
                builder.create(parent)?;
            }
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(*mode).open(&path)?;
            file.write_all(bytes)?;
            // What was asked for, whatever the mask of the process.
            file.set_permissions(Permissions::from_mode(*mode))?;
        }
        Ok(())
    }

    /// Takes the directory away with everything in it. Blocks.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

impl Mount<'_> {
    /// The directory that stands for the volume, within the step's.
    pub(super) fn root(&self) -> PathBuf {
        PathBuf::from(format!("volume-{}", self.volume))
    }

    /// The files of a volume that is this `ConfigMap`.
    pub(super) fn files(
        &self,
        source: &ConfigMapVolumeSource,
        map: &ConfigMap,
    ) -> Result<Vec<File>, MountError> {
        const MODE: i32 = 0o644;
        let mode = source.default_mode.unwrap_or(MODE);
        let Some(items) = &source.items else {
            let text = map.data.iter().flatten();
            let text = text.map(|(key, text)| self.file(key, text.clone().into_bytes(), mode));
            let bytes = map.binary_data.iter().flatten();
            let bytes = bytes.map(|(key, bytes)| self.file(key, bytes.0.clone(), mode));
            return text.chain(bytes).collect();
        };
        let mut files = Vec::new();
        for item in items {
            let text = map.data.as_ref().and_then(|data| data.get(&item.key));
            let bytes = map.binary_data.as_ref().and_then(|data| data.get(&item.key));
            let bytes = match (text, bytes) {
                (Some(text), _) => text.clone().into_bytes(),
                (None, Some(bytes)) => bytes.0.clone(),
                (None, None) if source.optional == Some(true) => continue,
                (None, None) => {
                    let (name, key) = (source.name.clone(), item.key.clone());
                    return Err(MountError::Key { name, key });
                }
            };
            files.push(self.file(&item.path, bytes, item.mode.unwrap_or(mode))?);
        }
        Ok(files)
    }

    fn file(&self, path: &str, bytes: Vec<u8>, mode: i32) -> Result<File, MountError> {
        let inside = Path::new(path);
        if path.is_empty() || !inside.components().all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(MountError::Path(path.to_owned()));
        }
        let mode = u32::try_from(mode).unwrap_or_default() & 0o777;
        Ok(File { path: self.root().join(inside), bytes, mode })
    }
}

/// What a container mounts.
pub(super) fn mounts<'a>(
    container: &'a TaskStep,
    task: &'a TaskSpec,
) -> Result<Vec<Mount<'a>>, MountError> {
    // Of workspaces only that one is made.
    let workspaces = task.workspaces.iter().filter_map(|workspace| {
        let path = Path::new(workspace.mount_path.as_ref()?);
        let source = (path == Path::new(TOOLS_DIR)).then_some(Source::Tools)?;
        Some(Ok(Mount { path, volume: &workspace.name, source }))
    });
    let mounts = container.volume_mounts.iter().map(|mount| {
        let path = Path::new(&mount.mount_path);
        let volume = task.volumes.iter().find(|volume| volume.name == mount.name);
        let undeclared = || MountError::Undeclared(mount.name.clone());
        if Path::new(&mount.name).components().count() != 1 || mount.name.starts_with('.') {
            return Err(MountError::Path(mount.name.clone()));
        }
        let source = match volume {
            _ if path == Path::new(TOOLS_DIR) => Source::Tools,
            None => return Err(undeclared()),
            Some(Volume { config_map: Some(source), .. }) => Source::ConfigMap(source),
            Some(Volume { empty_dir: Some(_), .. }) => Source::Empty,
            Some(_) => return Err(MountError::Kind(mount.name.clone())),
        };
        Ok(Mount { path, volume: &mount.name, source })
    });
    workspaces.chain(mounts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_and_files() {
        let container: TaskStep = serde_json::from_value(json!({
            "name": "step",
            "volumeMounts": [
                {"name": "config", "mountPath": "/var/run/config"},
                {"name": "scratch", "mountPath": "/var/run/config/scratch"},
            ],
        }))
        .unwrap();
        let volumes = json!([
            {"name": "config", "configMap": {
                "name": "m", "items": [{"key": "k", "path": "dir/script", "mode": 0o755}],
            }},
            {"name": "scratch", "emptyDir": {}},
        ]);
        let workspaces = json!([{"name": "tools", "mountPath": "/var/lib/puppet/relay"}]);
        let task = json!({"volumes": volumes, "workspaces": workspaces});
        let task: TaskSpec = serde_json::from_value(task).unwrap();
        let mounts = mounts(&container, &task).unwrap();
        let directory = Directory::new("/steps/r-t".into());
        for (path, expected) in [
            ("/var/run/config/dir/script", "/steps/r-t/volume-config/dir/script"),
            ("/var/run/config/scratch/x", "/steps/r-t/volume-scratch/x"),
            ("/var/run/configuration", "/var/run/configuration"),
            ("/var/lib/puppet/relay/ni", "/tools/ni"),
            ("make", "make"),
        ] {
            let found = directory.locate(Path::new(path), &mounts, Path::new("/tools"));
            assert_eq!(found, Path::new(expected));
        }
        let Source::ConfigMap(source) = mounts[1].source else { panic!("no ConfigMap") };
        let mut map = ConfigMap::default();
        let missing = mounts[1].files(source, &map).unwrap_err();
        assert_eq!(missing.to_string(), "ConfigMap \"m\" has no key \"k\"");
        map.data = Some([("k".to_owned(), "text".to_owned())].into());
        let files = mounts[1].files(source, &map).unwrap();
        let path = PathBuf::from("volume-config/dir/script");
        assert_eq!(files, [File { path, bytes: b"text".to_vec(), mode: 0o755 }]);
    }

    #[test]
    fn nothing_is_written_outside() {
        for path in ["", "..", "../x", "/etc/x", "a/../../x"] {
            let mount = Mount { path: Path::new("/m"), volume: "v", source: Source::Empty };
            assert!(mount.file(path, Vec::new(), 0o644).is_err(), "{path:?}");
        }
        let temp = tempfile::tempdir().unwrap();
        let directory = Directory::new(temp.path().join("step"));
        let path = PathBuf::from("volume-v/script");
        let file = File { path: path.clone(), bytes: b"x".to_vec(), mode: 0o755 };
        directory.fill(&["volume-v".into()], &[file]).unwrap();
        let found = fs::metadata(temp.path().join("step").join(path)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o755);
        directory.remove().unwrap();
        directory.remove().unwrap();
    }
}
