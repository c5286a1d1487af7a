// SPDX-License-Identifier: MIT
// pools - values that are worth trying, by what they try.
export const strings = [
  "", " ", "a", "ab", "abc", "abcd", "abcdef", "Hello World", "  padded  ", "\t\n", "é", "éé", "日本語", "😀", "😀😀😀",
  "0", "1", "-1", "42", "3.14", "1e3", "1E-2", ".5", "5.", ".", "e5", "1e", "0x1f", "0X1F", "0b101", "0b2", "0o17",
  "0x", "-0x1", "Infinity", "-Infinity", "+Infinity", "inf", "nan", "NaN", " 12 ", "1 2", "1_000", "+5", "--5",
  "9007199254740993", "1e400", "true", "false", "null", "undefined", "[]", "\u00a0x\u00a0", "\ufeff7\u2003",
];
export const emails = [
  "a@b.de", "first.last+tag@sub.example.org", "o'neil@ex-ample.com", "1@2.io", "a@", "@b.de", "a@b", "a b@c.de",
  ".a@b.de", "a..b@c.de", "a.@b.de", "a@-b.de", "a@b..de", "a@b.d", "a@b.de.", "a@b@c.de", "a@b.d3", "_@b.de", "a'@b.de",
  "-@b.de", "a@b-.de", "a@b_c.de", "A@B.DE", "a@1.2.3.four", "é@b.de", "a@é.de", "a+@b.co.uk", "a@b.de\n", " a@b.de",
  "a@.de", "'@b.de", "a-b_c@d.ee",
];
export const uuids = [
  "018f4e5c-7f00-7000-8000-000000000001", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
  "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "018F4E5C-7F00-4000-B000-000000000001", "018f4e5c-7f00-7000-8000-00000000000",
  "018f4e5c-7f00-7000-c000-000000000001", "018f4e5c-7f00-0000-8000-000000000001", "018f4e5c-7f00-9000-8000-000000000001",
  "018f4e5c7f00-7000-8000-00000000000001", "g18f4e5c-7f00-7000-8000-000000000001", "{018f4e5c-7f00-7000-8000-000000000001}",
  "018f4e5c-7f00-8000-a000-00000000000F", "018f4e5-c7f00-7000-8000-000000000001",
];
export const urls = [
  "http://example.com", "https://example.com/a?b=c#d", "http://localhost:8080/x", "http://user:pw@host/", "ftp://a.b",
  "http://1.2.3.4", "http://1.2.3.256", "http://256.1.1.1", "http://1.2.3", "http://0x7f.1", "http://1.2.3.4.5", "http://a.1",
  "http://[::1]/", "http://[1:2:3:4:5:6:7:8]", "http://[::ffff:1.2.3.4]", "http://[1::2::3]", "http://[:::]", "http://[12345::]",
  "http://[::1", "http://", "http:", "http:example.com", "https:/example.com", "http:///example.com", "http:\\\\a.b",
  "//example.com", "example.com", "/path", "", " http://padded.org ", "http://a b.com", "http://a.com/a b", "http://ex%41mple.com",
  "http://a%20b.com", "http://a%zz.com", "http://host:", "http://host:0", "http://host:65535", "http://host:65536",
  "http://host:abc", "http://host:-1", "http://:80", "http://@host", "http://user@", "http://a@b@c", "http://a<b.com",
  "http://a|b.com", "http://a^b.com", "http://a_b.com", "http://-a-.com", "http://a..b", "http://.a", "http://a.", "mailto:a@b.c",
  "mailto:", "javascript:alert(1)", "data:,x", "a:b", "a:", "1a:b", "a+b-c.d:e", "urn:isbn:1", "foo://", "foo:///x", "foo://host",
  "foo://ho st", "foo://host:99999", "foo://host:1/x", "foo://a%zz", "foo://[::1]", "foo://[x]", "file:///etc/passwd",
  "file://host/x", "file:/x", "file:x", "file://ho st/", "HTTP://EXAMPLE.COM", "ht\ttp://exa\nmple.com", "http://exa\nmple.com/x",
  "ws://a", "wss://a:1", "http://日本語.jp", "http://a.com\\b", "http://user:p@ss@host/", "http://[::1]:80", "http://[::1]x", "h ttp://a",
  "http://[::ffff:01.2.3.4]", "http://[::1.2.3]", "http://[1::1.2.3.4]", "http://[1:2:3:4:5:6:7::]", "http://[1:2:3:4:5:6:7:8::]",
  "http://[::1.2.3.4:5]", "http://[]", "http://1.2.3.08", "http://0x", "http://1..2", "http://4294967295", "http://4294967296",
  "http://1.2.3.4.", "http://a.0x1g", "http://09", "http://1.2.65536", "http://a%2eb", "http://%31.2.3.4.5", "http://ab?x=y z",
];
export const datetimes = [
  "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.123Z", "2024-01-01T00:00:00.1Z", "2024-01-01T00:00:00.123456Z",
  "2024-02-29T12:00:00Z", "2023-02-29T12:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2024-04-31T00:00:00Z",
  "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z", "2024-01-00T00:00:00Z", "2024-01-32T00:00:00Z", "2024-01-01T24:00:00Z",
  "2024-01-01T23:60:00Z", "2024-01-01T23:59:60Z", "2024-01-01T00:00Z", "2024-01-01T00:00", "2024-01-01T00:00:00",
  "2024-01-01T00:00:00.5", "2024-01-01T00:00:00+02:00", "2024-01-01T00:00:00.123-23:59", "2024-01-01T00:00:00+24:00",
  "2024-01-01T00:00:00+0200", "2024-01-01T00:00:00+02", "2024-01-01 00:00:00Z", "2024-01-01t00:00:00z", "2024-01-01",
  "24-01-01T00:00:00Z", "2024-1-1T00:00:00Z", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00,5Z", "12024-01-01T00:00:00Z",
  "2024-01-01T00:00:00ZZ", "", "2024-01-01T00:00:00Z\n", "0000-01-01T00:00:00Z", "2024-01-01T00:00+02:00", "2024-01-01T00:00:00:00Z",
];
export const numbers = [
  0, 1, -1, 2, 3, 5, 7, 10, 41, 42, 43, 100, 1.5, -1.5, 0.1, 0.30000000000000004, 2.03, 0.07, 1e21, 1.5e300, 1e-7, -5e-324,
  9007199254740991, 9007199254740992, -9007199254740992, 123456789012345680000, 4294967296, 0.5, 12.25, 99.99,
];
export const others = [
  null, true, false, [], {}, [1], ["a"], ["a", "b", "c"], [null], [[]], [1, "a", true], { a: 1 }, { a: "x", b: 2 },
  { length: 3 }, { type: "a" }, [{ a: 1 }], { a: null }, [[1, 2], [3]], { "1": 1, "2": 2 },
];
