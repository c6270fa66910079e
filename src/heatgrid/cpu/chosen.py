"""Rows of a column chunk chosen before its values are decoded: which rows a dictionary lets through, and their values.

A filter on page and kind chooses a few rows of a hundred, and its columns take 9 bits a row where x, y and the time
take 60: to decode all and then drop was 27 ns a row. Sets of rows are bits in words of 64. A page without a chosen row
is not even decompressed. As in pages.py, -1 is the answer to what is damaged or not known here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import load32, load64, members_of_8, ones, trailing_zeros
from heatgrid.cpu.jit import brief, tight
from heatgrid.cpu.pages import (
    DELTA,
    PLAIN,
    PLAIN_DICTIONARY,
    RLE_DICTIONARY,
    _content,
    _delta,
    _place,
    _plain,
)
from heatgrid.cpu.thrift import DICTIONARY, ENCODING, KIND, VALUES, varint

FEW = 64
"""Entries of a dictionary whose table fits a register."""


@tight
def _put(word: Any, count: Any, bits: Any, at: Any) -> None:
    """The first `count` (1 to 64) bits of a word into bits (all 0 before) from bit `at` on."""
    word &= ~np.uint64(0) >> np.uint64(64 - count)
    place = np.uint64(at)
    shift = place & np.uint64(63)
    bits[place >> np.uint64(6)] |= word << shift
    if shift + np.uint64(count) > np.uint64(64):
        bits[(place >> np.uint64(6)) + np.uint64(1)] |= word >> (np.uint64(64) - shift)


@tight
def _fill(count: Any, bits: Any, at: Any) -> None:
    """Set `count` bits from bit `at` on."""
    done = np.int64(0)
    while done < count:
        some = min(count - done, np.int64(64))
        _put(~np.uint64(0), some, bits, at + done)
        done += some


@tight
def _members(b: Any, i: Any, end: Any, n: Any, table: Any, small: Any, bits: Any, at: Any) -> Any:
    """Bits of n dictionary indices (a byte of width, then runs and packed groups): is table[index] 1. False: damaged.

    small : the table as the bits of a word, of a dictionary of at most FEW entries.
    """
    limit = np.int64(table.shape[0])
    if i >= end or limit == 0:
        return n == 0
    width = np.int64(b[i])
    i += 1
    if width > 31:
        return False
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    beyond = np.uint64(0)
    if limit < FEW:
        beyond = ~((np.uint64(1) << np.uint64(limit)) - np.uint64(1))
    done = np.int64(0)
    bad = np.uint64(0)
    while done < n:
        head, i = varint(b, i, end)
        if i < 0 or head < 2:
            return False
        if head & 1:
            size = (head >> 1) * width
            if size > end - i or head >> 1 > n:
                return False
            count = min((head >> 1) * 8, n - done)
            for k in range(0, count, 8):
                some = min(count - k, np.int64(8))
                found = np.uint64(0)
                if limit <= FEW and width <= 6:
                    word = load64(b, i + (k >> 3) * width)
                    found = members_of_8(word, np.uint64(width), mask, small)
                    wrong = members_of_8(word, np.uint64(width), mask, beyond)
                    bad |= wrong & (np.uint64(255) >> np.uint64(8 - some))
                else:
                    for m in range(some):
                        bit = (k + m) * width
                        code = np.int64((load64(b, i + (bit >> 3)) >> np.uint64(bit & 7)) & mask)
                        bad |= np.uint64(code >= limit)
                        found |= np.uint64(table[min(code, limit - 1)]) << np.uint64(m)
                _put(found, some, bits, at + done + k)
            i += size
        else:
            count = min(head >> 1, n - done)
            size = (width + 7) >> 3
            if size > end - i:
                return False
            value = np.int64(load64(b, i) & ((np.uint64(1) << np.uint64(8 * size)) - np.uint64(1)))
            if value >= limit:
                return False
            if table[value]:
                _fill(count, bits, at + done)
            i += size
        done += count
    return bad == 0


@tight
def members(
    b: Any, pages: Any, codec: Any, optional: Any, table: Any, null: Any, scratch: Any, dense: Any, bits: Any, out: Any,
    rows: Any,
) -> Any:  # fmt: skip
    """Rows of a chunk of texts with a dictionary that a table by entry (uint8) lets through, as bits (all 0 before).

    null : the same of a row without a value. dense : words for a page's values; bits : for the validity, all 0 before;
    out, bits : of one word more than the rows fill. Returns how many rows, or -1.
    """
    row = np.int64(0)
    small = np.uint64(0)
    for k in range(min(table.shape[0], FEW)):
        small |= np.uint64(table[k]) << np.uint64(k)
    for p in range(pages.shape[0]):
        page = pages[p]
        if page[KIND] == DICTIONARY:
            continue
        n = page[VALUES]
        valid, begin, stop = _place(b, page, codec, optional, scratch, bits, row, rows)
        if valid < 0:
            return np.int64(-1)
        if valid == n:
            if not _members(scratch, begin, stop, valid, table, small, out, row):
                return np.int64(-1)
        else:
            dense[: (valid >> 6) + 2] = 0
            if not _members(scratch, begin, stop, valid, table, small, dense, np.int64(0)):
                return np.int64(-1)
            j = np.uint64(0)
            for k in range(row, row + n):
                at = np.uint64(k)
                there = (bits[at >> np.uint64(6)] >> (at & np.uint64(63))) & np.uint64(1)
                hit = (dense[j >> np.uint64(6)] >> (j & np.uint64(63))) & np.uint64(1)
                out[at >> np.uint64(6)] |= ((hit & there) | (np.uint64(null) & ~there)) << (at & np.uint64(63))
                j += there
        row += n
    return count(out, rows) if row == rows else np.int64(-1)


@brief
def count(bits: Any, rows: Any) -> Any:
    """How many of the first `rows` bits are set; no others are."""
    total = np.int64(0)
    for k in range((rows + 63) >> 6):
        total += ones(bits[k])
    return total


@brief
def rows_of(bits: Any, out: Any) -> None:
    """The numbers of the rows that are set; as many as out has room for."""
    k = np.int64(0)
    word = np.int64(0)
    while k < out.shape[0]:
        some = bits[word]
        while some != 0:
            out[k] = (word << 6) + np.int64(trailing_zeros(some))
            some &= some - np.uint64(1)
            k += 1
        word += 1


@tight
def _ranks(chosen: Any, bits: Any, plain: Any, row: Any, n: Any, ranks: Any, there: Any, k: Any) -> Any:
    """Places among the values of a page, rows [row, row + n), of its chosen rows; the k-th of the chunk and on are
    they, and there[k] tells (bits, all 0 before) that one has a value. Under a null stands the place of the next.
    plain : each row has one. Returns how many."""
    found = np.int64(0)
    before = np.int64(0)
    word = row >> 6
    while (word << 6) < row + n:
        within = ~np.uint64(0)
        if (word << 6) < row:
            within <<= np.uint64(row - (word << 6))
        if (word << 6) + 64 > row + n:
            within &= ~np.uint64(0) >> np.uint64((word << 6) + 64 - row - n)
        some = chosen[word] & within
        valid = within if plain else bits[word] & within
        while some != 0:
            bit = trailing_zeros(some)
            below = (np.uint64(1) << bit) - np.uint64(1)
            ranks[found] = before + ones(valid & below)
            at = np.uint64(k + found)
            there[at >> np.uint64(6)] |= ((valid >> bit) & np.uint64(1)) << (at & np.uint64(63))
            some &= some - np.uint64(1)
            found += 1
        before += ones(valid)
        word += 1
    return found


@tight
def _chosen_in(chosen: Any, row: Any, n: Any) -> Any:
    """Is one of the rows [row, row + n) chosen."""
    word = row >> 6
    while (word << 6) < row + n:
        some = chosen[word]
        if (word << 6) < row:
            some &= ~np.uint64(0) << np.uint64(row - (word << 6))
        if (word << 6) + 64 > row + n:
            some &= ~np.uint64(0) >> np.uint64((word << 6) + 64 - row - n)
        if some != 0:
            return True
        word += 1
    return False


@tight
def _picked(b: Any, i: Any, end: Any, n: Any, limit: Any, ranks: Any, out: Any) -> Any:
    """Of n dictionary indices those at the places in ranks (ascending; n: there is none, which gives 0) into out.
    False: damaged as far as it was looked at, or one is >= limit."""
    if i >= end:
        out[:] = 0
        return n == 0
    width = np.int64(b[i])
    i += 1
    if width > 31:
        return False
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    done = np.int64(0)
    largest = np.int64(0)
    k = np.int64(0)
    while done < n and k < ranks.shape[0]:
        head, i = varint(b, i, end)
        if i < 0 or head < 2:
            return False
        if head & 1:
            size = (head >> 1) * width
            if size > end - i or head >> 1 > n:
                return False
            count = min((head >> 1) * 8, n - done)
            while k < ranks.shape[0] and ranks[k] < done + count:
                bit = (ranks[k] - done) * width
                value = np.int64((load64(b, i + (bit >> 3)) >> np.uint64(bit & 7)) & mask)
                out[k] = value
                largest = max(largest, value)
                k += 1
            i += size
        else:
            count = min(head >> 1, n - done)
            size = (width + 7) >> 3
            if size > end - i:
                return False
            value = np.int64(load64(b, i) & ((np.uint64(1) << np.uint64(8 * size)) - np.uint64(1)))
            while k < ranks.shape[0] and ranks[k] < done + count:
                out[k] = value
                largest = max(largest, value)
                k += 1
            i += size
        done += count
    for rest in range(k, ranks.shape[0]):
        out[rest] = 0
    return largest < limit or n == 0


@tight
def indices(
    b: Any, pages: Any, codec: Any, optional: Any, limit: Any, chosen: Any, rows: Any, scratch: Any, ranks: Any,
    bits: Any, there: Any, out: Any,
) -> Any:  # fmt: skip
    """Dictionary indices of the chosen rows of a chunk of `rows`.

    ranks : int32 of the chosen rows; bits : for the validity of all rows, there : of the chosen ones, both in words,
    one more than they fill, all 0 before; out : int32 of the chosen rows. Returns how many of these have a value, or
    -1.
    """
    row = np.int64(0)
    k = np.int64(0)
    for p in range(pages.shape[0]):
        page = pages[p]
        if page[KIND] == DICTIONARY:
            continue
        n = page[VALUES]
        if n > rows - row:
            return np.int64(-1)
        if _chosen_in(chosen, row, n):
            valid, begin, stop = _place(b, page, codec, optional, scratch, bits, row, rows)
            if valid < 0:
                return np.int64(-1)
            found = _ranks(chosen, bits, valid == n, row, n, ranks, there, k)
            if not _picked(scratch, begin, stop, valid, limit, ranks[:found], out[k : k + found]):
                return np.int64(-1)
            k += found
        row += n
    return count(there, k) if row == rows and k == out.shape[0] else np.int64(-1)


@tight
def numbers(
    b: Any, pages: Any, codec: Any, optional: Any, dictionary: Any, chosen: Any, rows: Any, scratch: Any, ranks: Any,
    dense: Any, bits: Any, there: Any, out: Any,
) -> Any:  # fmt: skip
    """Numbers of 4 or 8 bytes of the chosen rows of a chunk of `rows`; as ``indices``.

    dictionary : as many as its page holds, filled here. dense : as out, of all rows.
    """
    row = np.int64(0)
    k = np.int64(0)
    for p in range(pages.shape[0]):
        page = pages[p]
        if page[KIND] == DICTIONARY:
            stop = _content(b, page, codec, scratch)
            if stop < 0 or not _plain(scratch, np.int64(0), stop, dictionary.shape[0], dictionary):
                return np.int64(-1)
            continue
        n = page[VALUES]
        if n > rows - row:
            return np.int64(-1)
        if _chosen_in(chosen, row, n):
            valid, begin, stop = _place(b, page, codec, optional, scratch, bits, row, rows)
            if valid < 0:
                return np.int64(-1)
            found = _ranks(chosen, bits, valid == n, row, n, ranks, there, k)
            target = out[k : k + found]
            coding = page[ENCODING]
            sound = False
            if coding == PLAIN:
                sound = _plain_at(scratch, begin, stop, valid, ranks, target)
            elif coding == DELTA:
                sound = _delta(scratch, begin, stop, valid, dense)
                if sound:
                    for m in range(found):
                        target[m] = dense[min(np.int64(ranks[m]), valid - 1)] if valid > 0 else 0
            elif coding == RLE_DICTIONARY or coding == PLAIN_DICTIONARY:
                sound = _picked(scratch, begin, stop, valid, dictionary.shape[0], ranks[:found], ranks[:found])
                if sound and dictionary.shape[0] > 0:
                    for m in range(found):
                        target[m] = dictionary[np.uint32(ranks[m])]
                elif sound:
                    target[:] = 0
            if not sound:
                return np.int64(-1)
            k += found
        row += n
    return count(there, k) if row == rows and k == out.shape[0] else np.int64(-1)


@tight
def _plain_at(b: Any, begin: Any, stop: Any, n: Any, ranks: Any, out: Any) -> Any:
    """Of n numbers of the width of out those at the places in ranks; behind the last one are SLACK bytes."""
    wide = out.itemsize
    if n * wide > stop - begin:
        return False
    for k in range(out.shape[0]):
        if wide == 8:
            out[k] = np.int64(load64(b, begin + 8 * np.int64(ranks[k])))
        else:
            out[k] = load32(b, begin + 4 * np.int64(ranks[k]))
    return True
