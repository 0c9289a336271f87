//! What a tenant's namespace is given beside runs, as far as installations differ in it.

/// How the namespaces of tenants are set up. The defaults match the objects of `manifests/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policies {
    /// The account that the metadata API runs as, to be let read and write what runs know.
    pub metadata_api: Account,
    /// The operator's own account, where it gets its rights in each namespace; none where it has
    /// them everywhere.
    pub operator: Option<Account>,
    /// The roles that these accounts are bound to.
    pub roles: Roles,
    /// Whom pods of runs may reach.
    pub network: Network,
    /// The level that Pod Security admission enforces in namespaces made for tenants; none to leave
    /// that to others.
    pub pod_security: Option<String>,
    /// What containers get where they ask for nothing, and the most that they get, in namespaces
    /// made for tenants.
    pub limits: Option<Limits>,
    /// Names of Secrets, in the namespaces of runs, with which images are pulled.
    pub image_pull_secrets: Vec<String>,
}

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Names of cluster roles, which the reconciler binds in single namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// What the metadata API may do where runs are: read and patch ConfigMaps.
    pub metadata_api: String,
    /// What the operator may do where runs are.
    pub operator: String,
    /// What both may do where the Tenant object is: read Secrets.
    pub secrets: String,
}

/// Whom pods of runs may reach (`operator.md` §6.4). Nobody reaches them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Everybody: for a cluster of one's own.
    Open,
    /// Public addresses, and what is listed.
    Closed {
        /// Blocks that are no public addresses, of IPv4 and IPv6.
        private: Vec<String>,
        /// The metadata API.
        metadata_api: Peer,
        /// The cluster's name servers; none where pods are told others.
        dns: Option<Peer>,
    },
}

/// Pods that may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The name of their namespace.
    pub namespace: String,
    /// Their labels.
    pub labels: Vec<(String, String)>,
    /// The ports, each with its protocol, `TCP` or `UDP`.
    pub ports: Vec<(&'static str, u16)>,
}

/// Limits of containers: of `cpu`, `memory` and `ephemeral-storage`, as quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The limit of a container that names none.
    pub default: [String; 3],
    /// The request of a container that names none.
    pub default_request: [String; 3],
    /// The highest limit.
    pub max: [String; 3],
}

/// Networks of IPv4 that are not public.
const PRIVATE_V4: [&str; 16] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
];

/// Networks of IPv6 that are not public: loopback and unspecified, local translation, discard,
/// documentation, unique local, link-local, site-local, multicast.
const PRIVATE_V6: [&str; 9] = [
    "::/127",
    "64:ff9b:1::/48",
    "100::/64",
    "2001:db8::/32",
    "3fff::/20",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

impl Default for Policies {
    fn default() -> Self {
        Self::installed_in("relay-system")
    }
}

impl Policies {
    /// Those of an installation whose operator and metadata API are in this namespace.
    #[must_use]
    pub fn installed_in(namespace: &str) -> Self {
        let ours = |name: &str| Account { namespace: namespace.to_owned(), name: name.to_owned() };
        Self {
            metadata_api: ours("relay-metadata-api"),
            operator: Some(ours("relay-operator")),
            roles: Roles::default(),
            network: Network::closed(namespace),
            pod_security: Some("baseline".to_owned()),
            limits: Some(Limits::default()),
            image_pull_secrets: Vec::new(),
        }
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self {
            metadata_api: "relay-metadata-api-tenant".to_owned(),
            operator: "relay-operator-tenant".to_owned(),
            secrets: "relay-tenant-secrets".to_owned(),
        }
    }
}

impl Network {
    /// Public addresses, the metadata API in this namespace, and the cluster's name servers.
    #[must_use]
    pub fn closed(namespace: &str) -> Self {
        let peer = |namespace: &str, labels: &[(&str, &str)], ports: &[(&'static str, u16)]| Peer {
            namespace: namespace.to_owned(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ports: ports.to_vec(),
        };
        let metadata_api = [
            ("app.kubernetes.io/name", "relay-metadata-api"),
            ("app.kubernetes.io/component", "metadata-api"),
        ];
        Self::Closed {
            private: PRIVATE_V4
                .iter()
                .chain(&PRIVATE_V6)
                .map(|block| (*block).to_owned())
                .collect(),
            metadata_api: peer(namespace, &metadata_api, &[("TCP", 7000)]),
            dns: Some(peer("kube-system", &[("k8s-app", "kube-dns")], &[("UDP", 53), ("TCP", 53)])),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let of = |quantities: [&str; 3]| quantities.map(str::to_owned);
        Self {
            default: of(["750m", "2Gi", "2Gi"]),
            default_request: of(["100m", "256Mi", "2Gi"]),
            max: of(["1", "3Gi", "20Gi"]),
        }
    }
}
