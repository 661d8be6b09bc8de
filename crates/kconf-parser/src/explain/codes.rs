//! What to do about each kind of problem, and a text that has it.

/// A row: the number of the code, a text with the problem, and the remedy.
pub(super) struct Row {
    pub(super) number: u16,
    /// Empty where the problem is not one of the text.
    pub(super) example: &'static str,
    pub(super) remedy: &'static str,
}

const fn row(number: u16, example: &'static str, remedy: &'static str) -> Row {
    Row {
        number,
        example,
        remedy,
    }
}

/// In the order of the numbers.
pub(super) const ROWS: &[Row] = &[
    row(
        1,
        "",
        "Check the path and the permissions of the file and of the folders above it.",
    ),
    row(
        2,
        "",
        "Take the execute bits away with `chmod a-x FILE`; a folder or device cannot be included.",
    ),
    row(
        3,
        "include conf.d/web.conf\n",
        "Correct the path, which is relative to the file that has the line; or delete the line. \
         With `includem` keepalived refuses to start.",
    ),
    row(
        4,
        "include keepalived.conf\n",
        "Take the line out: what the file says is read already.",
    ),
    row(
        5,
        "$A=$A x\nrouter_id $A\n",
        "Let no definition use itself, and keep repetitions to what is needed.",
    ),
    row(
        6,
        "~SEQ(i) notify_fifo_$i\n",
        "Write `~SEQ(NAME,START,STEP,END)`, `~SEQ(NAME,START,END)`, `~SEQ(NAME,END)` or \
         `~LST(NAME,VALUE,VALUE...)`.",
    ),
    row(
        7,
        "global_defs {\n    router_id ${SITE}\n}\n",
        "Put a line `$SITE=VALUE` above the first use; names are case-sensitive.",
    ),
    row(
        8,
        "",
        "Split the line. Lists may have several lines; a long command belongs in a script.",
    ),
    row(
        9,
        "use_pid_dir \0\n",
        "Delete the byte; `tr -d '\\000'` does.",
    ),
    row(
        10,
        "virtual_server 10.0.0.1 80 {\n    quorum_up \"/usr/bin/logger up\n}\n",
        "Close the quote on the same line; quotes never span lines.",
    ),
    row(
        11,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    real_server 10.0.0.2 80 {\n        weight 1\n}\n",
        "Put the `}` where the block ends. `lvsd check --fix` puts it where indentation says.",
    ),
    row(
        12,
        "global_defs {\n}\n}\n",
        "Delete it, or put back the `{` that it belongs to.",
    ),
    row(
        13,
        "global_defs {\n    router_id a {\n    }\n}\n",
        "Delete the braces, or put the keyword of the block before them.",
    ),
    row(
        14,
        "virtual_server 10.0.0.1 80\n",
        "Put `{` behind it, its settings, and `}`.",
    ),
    row(
        15,
        "",
        "Five levels are all that the language needs; look for lost `}`.",
    ),
    row(
        16,
        "global_defs {\n    router_id a // the first\n}\n",
        "Begin the comment with `#` or `!`.",
    ),
    row(
        17,
        "global_defs {\n    ruoter_id a\n}\n",
        "Correct the spelling; `lvsd explain BLOCK` lists what a block knows. Letters count as \
         large or small.",
    ),
    row(
        18,
        "global_defs {\n    weight 5\n}\n",
        "Move the line into the block that it belongs to; `lvsd explain KEYWORD` names it.",
    ),
    row(
        19,
        "virtual_server 10.0.0.1 80 {\n    nat_mask 255.255.255.0\n}\n",
        "Delete the line.",
    ),
    row(
        20,
        "virtual_server_group web {\n    10.0.0.1 80\n}\nvirtual_server group web {\n    real_server 10.0.0.2 80 {\n        HTTP_GET {\n            nb_get_retry 2\n        }\n    }\n}\n",
        "Write the new name; the value stays the same.",
    ),
    row(
        21,
        "global_defs {\n    router_id a b\n}\n",
        "Delete the words, put the value in double quotes if they belong to it, or give them a \
         line of their own.",
    ),
    row(
        22,
        "global_defs {\n    router_id\n}\n",
        "Write the value, or delete the line.",
    ),
    row(
        23,
        "global_defs {\n    router_id <STRING>\n}\n",
        "Replace it by the value that it stands for.",
    ),
    row(
        24,
        "virtual_server 10.0.0.1 80 {\n    delay_loop 10s\n}\n",
        "Write the bare number; `lvsd explain KEYWORD` tells its unit.",
    ),
    row(
        25,
        "vrrp_instance A {\n    virtual_router_id 256\n}\n",
        "Choose a number within the range that the message names.",
    ),
    row(
        26,
        "virtual_server 10.0.0.1 80 {\n    lb_algo rrr\n}\n",
        "Choose one of the values that the message lists.",
    ),
    row(
        27,
        "virtual_server 10.0.0.1 80 {\n    real_server 10.0.0.256 80 {\n    }\n}\n",
        "Write an IPv4 or IPv6 address; host names are not looked up here.",
    ),
    row(
        28,
        "virtual_server 10.0.0.1 80 {\n    alpha off\n}\n",
        "Delete the line to switch the flag off, or the argument to keep it on.",
    ),
    row(
        29,
        "virtual_server 10.0.0.1 80 {\n    real_server 10.0.0.2 80 {\n        HTTP_GET {\n            url {\n                path /\n                digest 123\n            }\n        }\n    }\n}\n",
        "Write the value in the form that the message names.",
    ),
    row(
        30,
        "virtual_server 10.0.0.1 80 {\n    delay_loop 1.0000005\n}\n",
        "Write no more decimals than are kept.",
    ),
    row(
        31,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.9\n        192.0.2.9\n    }\n}\n",
        "Keep the one that is meant.",
    ),
    row(
        32,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    real_server 10.0.0.2 80 {\n        SMTP_CHECK {\n        }\n    }\n}\n",
        "Nothing, if you know; otherwise use what this version acts on.",
    ),
    row(
        33,
        "vrrp_instance A {\n    virtual_ipaddress {\n    }\n}\n",
        "Fill the block, or delete it.",
    ),
    row(
        40,
        "virtual_server 10.0.0.1 80 {\n    lb_algo rr\n    lb_kind NAT\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "Write `protocol TCP`, or `protocol UDP` if that is meant.",
    ),
    row(
        41,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_kind NAT\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "Write `lb_algo wlc`, or another scheduler.",
    ),
    row(
        42,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "Write `lb_kind NAT`, `DR` or `TUN`.",
    ),
    row(
        43,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n}\n",
        "Give the service at least one `real_server`, or delete it.",
    ),
    row(
        44,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind DR\n    real_server 10.0.0.2 8080 {\n    }\n}\n",
        "Give the server the port of the service, or use `lb_kind NAT`: only NAT changes ports.",
    ),
    row(
        45,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    real_server 10.0.0.2 80 {\n    }\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "Keep one of them; a `weight` gives a server a larger share.",
    ),
    row(
        46,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    real_server 10.0.0.2 80 {\n    }\n}\nvirtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    real_server 10.0.0.3 80 {\n    }\n}\n",
        "Put all real servers into one block.",
    ),
    row(
        47,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    quorum 5\n    real_server 10.0.0.2 80 {\n        weight 2\n    }\n}\n",
        "Lower the quorum, or raise the weights.",
    ),
    row(
        48,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    quorum 2\n    hysteresis 2\n    real_server 10.0.0.2 80 {\n        weight 5\n    }\n}\n",
        "Make `hysteresis` smaller than `quorum`.",
    ),
    row(
        49,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    ops\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "Delete `ops`, or write `protocol UDP`.",
    ),
    row(
        50,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    sh-port\n    lb_algo sh\n    lb_kind NAT\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "Move the flag below its `lb_algo`, or delete it.",
    ),
    row(
        51,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    sorry_server_inhibit\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "Put it below `sorry_server`, or delete it.",
    ),
    row(
        52,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    real_server 2001:db8::2 80 {\n    }\n}\n",
        "Use addresses of one family, or a tunnel (`lb_kind TUN`).",
    ),
    row(
        53,
        "virtual_server 10.0.0.1 0 {\n    protocol TCP\n    lb_algo rr\n    lb_kind DR\n    real_server 10.0.0.2 0 {\n    }\n}\n",
        "Write `persistence_timeout`, or a port.",
    ),
    row(
        54,
        "virtual_server group web {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "Define it: `virtual_server_group NAME {`, with an address and port on each line.",
    ),
    row(
        55,
        "virtual_server_group web {\n}\n",
        "Put an address and port into the group, use it, or delete it.",
    ),
    row(
        56,
        "virtual_server fwmark 7 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    real_server 10.0.0.2 {\n    }\n}\n",
        "Delete the line: what a mark stands for is decided where packets are marked.",
    ),
    row(
        57,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    persistence_engine sip\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "`sip` is the only engine, and it is for UDP; without it delete the line.",
    ),
    row(
        58,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    real_server 10.0.0.2 80 {\n        HTTP_GET {\n        }\n    }\n}\n",
        "Give the check what it needs, such as a `url` with a `path`.",
    ),
    row(
        59,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    real_server 10.0.0.2 80 {\n        HTTP_GET {\n            url {\n                status_code 200\n            }\n        }\n    }\n}\n",
        "Write `path /` or what is to be fetched.",
    ),
    row(
        60,
        "virtual_server_group web {\n    10.0.0.1 80\n}\nvirtual_server group web {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    ha_suspend\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "Delete `ha_suspend`, or write the service with its address in place of the group.",
    ),
    row(
        61,
        "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    real_server 10.0.0.2 80 {\n        uthreshold 10\n        lthreshold 20\n    }\n}\n",
        "Make `lthreshold` smaller than `uthreshold`.",
    ),
    row(
        62,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.1\n    }\n    authentication {\n        auth_type PASS\n        auth_pass 123456789\n    }\n}\n",
        "Use eight characters; it is no secret on the wire anyway.",
    ),
    row(
        63,
        "vrrp_instance A {\n}\n",
        "Write the setting that the message names.",
    ),
    row(
        64,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n}\nvrrp_instance A {\n    interface eth0\n    virtual_router_id 2\n}\n",
        "Give one of them another name.",
    ),
    row(
        65,
        "vrrp_instance A {\n    authentication {\n        auth_type PASS\n        auth_pass a!b\n    }\n}\n",
        "Put the value in double quotes, or a blank before the comment.",
    ),
    row(
        66,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.2/24 -nodad\n    }\n}\n",
        "Delete the option.",
    ),
    row(
        67,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_routes {\n        inet6 2001:db8::/64 dev eth0\n    }\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Write the word that the message suggests, or leave out the one that eats it.",
    ),
    row(
        68,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_rules {\n        from 192.0.2.0/24 table 1\n    }\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Write `preference NUMBER`, so that the order of rules does not depend on the order of lines.",
    ),
    row(
        70,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    track_script {\n        web\n    }\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Define it, or correct the name; names count large and small letters.",
    ),
    row(
        71,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    track_script {\n        web\n    }\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\nvrrp_script web {\n    script \"/bin/true\"\n}\n",
        "Move the definition above the block that refers to it.",
    ),
    row(
        72,
        "vrrp_script web {\n    script \"/bin/true\"\n}\n",
        "Use it, or delete it.",
    ),
    row(
        73,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\nvrrp_instance B {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.9\n    }\n}\n",
        "Give each virtual router on an interface a number of its own.",
    ),
    row(
        74,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n}\n",
        "Write `virtual_ipaddress` with an address, or `no_virtual_ipaddress` if none is meant.",
    ),
    row(
        75,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        ~SEQ(i,0,255) 192.0.2.$i\n    }\n}\n",
        "Put the others into `virtual_ipaddress_excluded`: they move all the same.",
    ),
    row(
        76,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    state MASTER\n    nopreempt\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Write `state BACKUP` on both nodes; priority decides who is master.",
    ),
    row(
        77,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    version 3\n    authentication {\n        auth_type PASS\n        auth_pass secret\n    }\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Delete the block: version 3 has no authentication. Keep strangers off the segment instead.",
    ),
    row(
        78,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    version 2\n    virtual_ipaddress {\n        2001:db8::1\n    }\n}\n",
        "Delete the line, or write `version 3`.",
    ),
    row(
        79,
        "global_defs {\n    vrrp_strict\n}\nvrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    state MASTER\n    priority 100\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Delete the setting, or `vrrp_strict`.",
    ),
    row(
        80,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    unicast_src_ip 192.0.2.7\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Write `unicast_peer` with the addresses of the other nodes, or delete the line.",
    ),
    row(
        81,
        "vrrp_sync_group G {\n    group {\n        A\n    }\n}\nvrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Put a second instance into the group, or delete the group.",
    ),
    row(
        82,
        "vrrp_sync_group G {\n    group {\n        A\n        B\n    }\n}\nvrrp_sync_group H {\n    group {\n        A\n        B\n    }\n}\nvrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\nvrrp_instance B {\n    interface eth0\n    virtual_router_id 2\n    virtual_ipaddress {\n        192.0.2.9\n    }\n}\n",
        "Leave it in one of them.",
    ),
    row(
        83,
        "vrrp_script web {\n    script \"/bin/true\"\n}\nvrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    priority 255\n    track_script {\n        web weight 5\n    }\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Delete the weight, so that a failure means a fault.",
    ),
    row(
        84,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    track_interface {\n        eth0\n    }\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Delete the line: the own interface is tracked anyway, unless `dont_track_primary` says otherwise.",
    ),
    row(
        85,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_routes {\n        192.0.2.0/24 via 192.0.2.254\n    }\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n",
        "Name the interface with `dev`, or write `no_track`.",
    ),
    row(
        100,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.9\n    }\n    state MASTER\n}\n",
        "Write the `priority`; `state MASTER` alone makes it 255, that of an address owner.",
    ),
    row(
        101,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.9\n    }\n    priority 100\n    priority 90\n}\n",
        "Keep the one that is meant; the last one counts.",
    ),
    row(
        102,
        "global_defs {\n    router_id 'a'\n}\n",
        "Use double quotes.",
    ),
    row(
        103,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.9\n    }\n    skip_check_adv_addr off\n}\n",
        "Delete the line to switch it off.",
    ),
    row(
        104,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.9\n    }\n    virtual_ipaddress {\n        192.0.2.10/24\n    }\n}\n",
        "Leave the mask out, or write `/32` (`/128` for IPv6), unless the route is wanted.",
    ),
    row(
        105,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.9\n    }\n    virtual_ipaddress_excluded {\n        2001:db8::1/64 -nodad\n    }\n}\n",
        "Delete the option, if duplicate addresses are not to be looked for.",
    ),
    row(
        106,
        "vrrp_script web {\n    script /usr/local/bin/web\n    interval 2\n    timeout 3\n}\n",
        "Make the time limit shorter than the interval, or the interval longer.",
    ),
    row(
        107,
        "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    alpha\n    lb_algo wlc\n    real_server 10.0.0.2 80 {\n    }\n}\n",
        "Give each `real_server` a check, such as `TCP_CHECK`.",
    ),
    row(
        108,
        "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    alpha\n    lb_algo mh\n    real_server 10.0.0.2 80 {\n        TCP_CHECK {\n        }\n    }\n}\n",
        "Write `mh-port` or `sh-port` below `lb_algo`, if clients share addresses.",
    ),
    row(
        109,
        "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    alpha\n    lb_algo rr\n    persistence_timeout 50\n    real_server 10.0.0.2 80 {\n        TCP_CHECK {\n        }\n    }\n}\n",
        "Use wlc, or do without persistence.",
    ),
    row(
        110,
        "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    alpha\n    lb_algo wlc\n    sorry_server 10.0.0.2 80\n    real_server 10.0.0.2 80 {\n        TCP_CHECK {\n        }\n    }\n}\n",
        "Use another machine or port for the sorry server.",
    ),
    row(
        111,
        "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    alpha\n    lb_algo wlc\n    real_server 10.0.0.2 80 {\n        SSL_GET {\n            url {\n                path /\n            }\n        }\n    }\n}\n",
        "Nothing, if you know; a script in `MISC_CHECK` can verify a certificate.",
    ),
    row(
        112,
        "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    alpha\n    lb_algo wlc\n    real_server 10.0.0.2 80 {\n        SSL_GET {\n            virtualhost www.example.org\n            url {\n                path /\n            }\n        }\n    }\n}\n",
        "Write `enable_sni`.",
    ),
    row(
        113,
        "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    alpha\n    lb_algo wlc\n    real_server 10.0.0.2 80 {\n        HTTP_GET {\n            http_protocol 1.1\n            url {\n                path /\n                digest 0123456789abcdef0123456789abcdef\n            }\n        }\n    }\n}\n",
        "Leave `http_protocol` at 1.0, or use `status_code` or `regex`.",
    ),
    row(
        114,
        "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    alpha\n    lb_algo wlc\n    real_server 10.0.0.2 80 {\n        SMTP_CHECK {\n        }\n    }\n}\n",
        "Use a check that looks at the answer, if that matters.",
    ),
    row(
        115,
        "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    alpha\n    lb_algo wlc\n    real_server 10.0.0.2 80 {\n        UDP_CHECK {\n        }\n    }\n}\n",
        "Write `require_reply`.",
    ),
    row(
        116,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.9\n    }\n    virtual_ipaddress_excluded {\n        2001:db8::1\n    }\n}\n",
        "Write `preferred_lft forever`, if connections are to start from this address.",
    ),
    row(
        117,
        "vrrp_instance A {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.9\n    }\n    notify /usr/local/bin/a\n    notify_master /usr/local/bin/b\n}\n",
        "Let one script do both, if their order matters.",
    ),
    row(
        118,
        "vrrp_script web {\n    script /usr/local/bin/web\n    init_fail\n}\n",
        "Delete the line: keepalived does nothing with it.",
    ),
    row(
        119,
        "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    lb_algo wlc\n    real_server 10.0.0.2 80 {\n        TCP_CHECK {\n        }\n    }\n}\n",
        "Write `alpha`, or a short `warmup`.",
    ),
    row(
        120,
        "global_defs {\n    notification_email {\n        ops@example.org\n    }\n}\nvirtual_server 192.0.2.1 80 {\n    protocol TCP\n    lb_kind NAT\n    delay_loop 10\n    alpha\n    lb_algo wlc\n    real_server 10.0.0.2 80 {\n        TCP_CHECK {\n        }\n    }\n}\n",
        "Write `smtp_alert off` in `global_defs`, or `no_email_faults`.",
    ),
    row(
        130,
        "",
        "Give both directors the same instances, or correct the number.",
    ),
    row(131, "", "Write the same `version` on both."),
    row(
        132,
        "",
        "Write the same `advert_int` on both, or two masters appear.",
    ),
    row(133, "", "Write the same `authentication` on both."),
    row(
        134,
        "",
        "Write the same addresses on both, in the same order.",
    ),
    row(
        135,
        "",
        "Let each director name the other's address in `unicast_peer`, and its own in `unicast_src_ip`.",
    ),
    row(136, "", "Give one of them a higher `priority`."),
    row(
        137,
        "",
        "Write `nopreempt` on the director with the higher priority, with `state BACKUP`.",
    ),
    row(138, "", "Give each director a `router_id` of its own."),
    row(139, "", "Write the same checksum setting on both."),
    row(140, "", "Write the same services on both."),
    row(141, "", "Write the real servers in the same order on both."),
    row(
        142,
        "",
        "Write the same `id` and an interface of the same segment in `lvs_sync_daemon`.",
    ),
    row(
        143,
        "",
        "Join the instances in a group on both directors, or on none.",
    ),
    row(150, "", "Correct the name; `ip link` lists what there is."),
    row(151, "", "Create the user or group, or correct the name."),
    row(152, "", "Install it, or correct the path."),
    row(153, "", "Set the execute bits with `chmod a+x FILE`."),
    row(
        154,
        "",
        "Let only root write the file and the folders above it.",
    ),
    row(
        155,
        "",
        "Write `enable_script_security` in `global_defs`, and `script_user` if it is not to be root.",
    ),
    row(
        156,
        "",
        "Switch it on with `sysctl -w net.ipv4.ip_forward=1`, and in /etc/sysctl.d.",
    ),
];
