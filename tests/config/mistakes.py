"""One mistake in each file, and the one line it must lead to."""

from typing import Final

BAD_SETTINGS: Final = {
    "unknown_section": (
        "refesh: unknown key, perhaps refresh; allowed here: api, cache, fleet, log, ops, popular_file, pricing, "
        "refresh, shutdown, snapshot, sources, tracking, trending"
    ),
    "unknown_key": (
        "cache.fresh_secs: unknown key, perhaps fresh_seconds; allowed here: fresh_seconds, max_entries, "
        "max_stale_seconds, negative_seconds"
    ),
    "unknown_source": (
        "sources.birdeye: unknown key; allowed here: dexscreener, geckoterminal, jupiter, solana_rpc"
    ),
    "api_key_of_a_source_without_keys": (
        "sources.dexscreener.api_key: unknown key; allowed here: base_url, requests_per_minute, timeout_seconds"
    ),
    "section_is_a_value": "api: must be a mapping of keys, not a single value",
    "section_is_a_list": "sources: must be a mapping of keys, not a list",
    "file_is_a_list": "the file: must be a mapping of keys, not a list",
    "word_for_a_number": "refresh.popular_seconds: must be a number from 0.1 to 86400, not 'soon'",
    "quoted_number": "refresh.popular_seconds: must be a number from 0.1 to 86400, not '60'",
    "early_share_too_large": "refresh.early_share: must be a number from 0 to 0.8, not 0.9",
    "uncertainty_zero": "refresh.target_uncertainty: must be a number from 0.0005 to 1, or null, not 0",
    "namespace_with_a_colon": "fleet.namespace: must be 1 to 64 of A-Z, a-z, 0-9, . _ -, not 'a:b'",
    "redis_url_scheme": (
        "fleet.redis_url: must be a redis, rediss or unix URL with a host or a socket's path, or null, "
        "not http://redis.example/***"
    ),
    "redis_url_without_host": (
        "fleet.redis_url: must be a redis, rediss or unix URL with a host or a socket's path, not ***"
    ),
    "redis_url_database": (
        "fleet.redis_url: must have a database's number, or nothing, for a path, not redis://redis.example/***"
    ),
    "redis_url_without_path": (
        "fleet.redis_url: must be a redis, rediss or unix URL with a host or a socket's path, not unix://run.sock"
    ),
    "boolean_for_a_number": "refresh.stats_seconds: must be a number from 0.1 to 86400, not true",
    "not_a_number": "shutdown.drain_seconds: must be a number from 0 to 3600, not '.nan'",
    "infinite": "cache.negative_seconds: must be a number from 0.1 to 86400, not inf",
    "null_for_a_number": "cache.max_entries: must be a whole number from 100 to 1000000, not null",
    "fraction_for_a_count": "tracking.max_tokens: must be a whole number from 1 to 10000, not 99.5",
    "startup_deadline_too_long": "refresh.startup_deadline_seconds: must be a number from 0 to 50, not 51",
    "port_too_high": "api.port: must be a whole number from 0 to 65535, not 65536",
    "deadline_too_short": "api.deadline_seconds: must be a number from 0.05 to 60, not 0.01",
    "ratio_zero": "pricing.agreement_ratio: must be a number above 0 and at most 1, not 0",
    "budget_zero": (
        "sources.geckoterminal.requests_per_minute: must be a whole number from 1 to 100000, or null, not 0"
    ),
    "yes_for_true": "api.allow_non_loopback: must be true or false, not 'yes'",
    "socket_mode_without_owner": (
        'api.unix_socket_mode: must be an octal string from "0600" to "0777", not \'0066\''
    ),
    "socket_path_too_long": (
        "api.unix_socket: must be at most 107 bytes long, not "
        "'/run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"
    ),
    "allowed_hosts_not_a_list": (
        "api.allowed_hosts: must be a list of a host name or IP address, not 'mc.internal'"
    ),
    "allowed_host_is_a_url": (
        "api.allowed_hosts: must be a list of a host name or IP address, not [http://mc.internal]"
    ),
    "log_level": "log.level: must be debug, error, info or warning, not 'verbose'",
    "no_price_source": (
        "pricing.sources: must be a list of at least 1 of dexscreener, geckoterminal or jupiter, not []"
    ),
    "price_source_unknown": (
        "pricing.sources: must be a list of at least 1 of dexscreener, geckoterminal or jupiter, "
        "not [jupiter, birdeye]"
    ),
    "price_source_twice": "pricing.sources: must name each source once, not [jupiter, dexscreener, jupiter]",
    "trending_source_is_a_mapping": (
        "trending.sources: must be a list of dexscreener, geckoterminal or jupiter, not a list"
    ),
    "base_url_without_host": "sources.solana_rpc.base_url: must be an http or https URL with a host, not ***",
    "base_url_scheme": (
        "sources.solana_rpc.base_url: must be an http or https URL with a host, not wss://rpc.example/***"
    ),
    "base_url_port": "sources.jupiter.base_url: must be an http or https URL with a host, not ***",
    "api_key_with_a_space": ("sources.jupiter.api_key: must be printable ASCII without spaces, or null, not ***"),
    "two_forms_of_api_key": (
        "sources.jupiter.api_key: must be empty when sources.jupiter.api_key_file (***) is set, not ***"
    ),
    "variable_not_set": "sources.jupiter.api_key: the environment variable NO_SUCH_KEY is not set",
    "variable_malformed": "popular_file: ${ must begin ${NAME} or ${NAME:-default}; $$ is a $",
    "variable_of_the_wrong_type": "api.port: must be a whole number from 0 to 65535, not ***",
    "default_of_the_wrong_type": "api.port: must be a whole number from 0 to 65535, not 'none'",
    "host_not_loopback": (
        "api.host: must be loopback: a bind to anything but loopback or a Unix socket needs "
        "api.allow_non_loopback (false), not '0.0.0.0'"
    ),
    "same_port_twice": "ops.port: must differ from api.port (9765), not 9765",
    "fresh_not_above_tracked": (
        "cache.fresh_seconds: must be above refresh.tracked_seconds (300) plus the longest source "
        "timeout (10), not 310"
    ),
    "fresh_not_above_popular": (
        "cache.fresh_seconds: must be above refresh.popular_seconds (400.5) plus the longest "
        "source timeout (10), not 360"
    ),
    "fresh_not_above_a_slow_source": (
        "cache.fresh_seconds: must be above refresh.tracked_seconds (300) plus the longest source "
        "timeout (60), not 360"
    ),
    "stale_not_above_fresh": "cache.max_stale_seconds: must be above cache.fresh_seconds (360), not 360",
    "good_below_dead": (
        "pricing.good_liquidity_usd: must be at least pricing.min_liquidity_usd (20000), not 10000"
    ),
    "cache_smaller_than_tracked": "cache.max_entries: must be above tracking.max_tokens (100), not 100",
    "fewer_places_than_popular_tokens": (
        "tracking.max_tokens: must be at least the number of popular tokens (11), not 10"
    ),
    "popular_file_missing": "bad/no_such_list.yaml: cannot be read: No such file or directory",
    "key_twice": "bad/key_twice.yaml: line 3, column 3: the key 'port' is there twice",
    "unclosed": "bad/unclosed.yaml: is not valid YAML: line 2, column 4: expected ',' or '}', but got ':'",
    "tab": (
        "bad/tab.yaml: is not valid YAML: line 2, column 1: found character '\\t' that cannot start any token"
    ),
    "alias": "bad/alias.yaml: line 1, column 6: anchors and aliases are not supported",
    "bomb": "bad/bomb.yaml: line 1, column 5: anchors and aliases are not supported",
    "tag": "bad/tag.yaml: line 1, column 6: tags are not supported",
    "two_documents": "bad/two_documents.yaml: is not valid YAML: line 2, column 1: found another document",
    "list_as_a_key": "bad/list_as_a_key.yaml: line 1, column 3: a key must be 1 to 64 printable characters",
    "too_deep": "bad/too_deep.yaml: line 1, column 16: nested too deeply",
}
"""The files in `bad/`."""

BAD_POPULAR_LISTS: Final = {
    "empty": "the file: must be a mapping of keys, not nothing",
    "bare_list": "the file: must be a mapping of keys, not a list",
    "unknown_key": "mints: unknown key; allowed here: tokens",
    "tokens_not_a_list": (
        "tokens: must be a list of mint and symbol, not 'So11111111111111111111111111111111111111112'"
    ),
    "row_not_a_mapping": ("tokens[0]: must be a mapping of keys, not a single value"),
    "unknown_key_in_a_row": "tokens[0].name: unknown key; allowed here: mint, symbol",
    "mint_lower_cased": (
        "tokens[0].mint: must be a mint (base58 of 32 bytes), not '7dhbwxmci3dt8ufywyzweblxgycu7y3il6trkn1y7arj'"
    ),
    "mint_missing": "tokens[0].mint: must be a mint (base58 of 32 bytes), not null",
    "symbol_missing": "tokens[0].symbol: must be a string of 1 to 32 printable characters, not null",
    "symbol_empty": "tokens[0].symbol: must be a string of 1 to 32 printable characters, not ''",
    "symbol_too_long": (
        "tokens[0].symbol: must be a string of 1 to 32 printable characters, not "
        "'SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS'"
    ),
    "symbol_not_printable": "tokens[0].symbol: must be a string of 1 to 32 printable characters, not 'S\\nL'",
    "symbol_a_number": "tokens[0].symbol: must be a string of 1 to 32 printable characters, not 42",
    "mint_twice": "tokens[2].mint: is in the list already: So11111111111111111111111111111111111111112",
    "too_many": "tokens: must be at most tracking.max_tokens (3); line 5, column 5 is one too many",
}
"""The files in `bad_popular/`, read with room for three tokens."""
