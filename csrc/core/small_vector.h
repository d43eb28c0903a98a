#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <new>
#include <span>
#include <utility>

namespace ember {

// A vector whose first N items live in the object itself.
template <class T, int N>
class SmallVector {
public:
    SmallVector() {}
    explicit SmallVector(int n) { resize(n); }
    SmallVector(std::initializer_list<T> items) { append(items.begin(), items.end()); }
    explicit SmallVector(std::span<const T> items) { append(items.begin(), items.end()); }
    SmallVector(const SmallVector& other) { append(other.begin(), other.end()); }
    SmallVector(SmallVector&& other) noexcept { take(other); }
    ~SmallVector() { release(); }

    SmallVector& operator=(const SmallVector& other) {
        if (this != &other) {
            clear();
            append(other.begin(), other.end());
        }
        return *this;
    }
    SmallVector& operator=(SmallVector&& other) noexcept {
        if (this != &other) {
            release();
            take(other);
        }
        return *this;
    }

    int size() const { return size_; }
    bool empty() const { return size_ == 0; }
    T* data() { return data_; }
    const T* data() const { return data_; }
    T* begin() { return data_; }
    T* end() { return data_ + size_; }
    const T* begin() const { return data_; }
    const T* end() const { return data_ + size_; }
    T& operator[](int64_t i) { return data_[i]; }
    const T& operator[](int64_t i) const { return data_[i]; }
    T& back() { return data_[size_ - 1]; }
    const T& back() const { return data_[size_ - 1]; }
    operator std::span<const T>() const { return {data_, size_t(size_)}; }

    void reserve(int n) {
        if (n > capacity_) grow(n);
    }
    void resize(int n) {
        reserve(n);
        while (size_ > n) data_[--size_].~T();
        while (size_ < n) new (data_ + size_++) T();
    }
    void clear() { resize(0); }
    void push_back(T item) { emplace_back(std::move(item)); }
    template <class... A>
    T& emplace_back(A&&... args) {
        if (size_ == capacity_) grow(capacity_ * 2);
        return *new (data_ + size_++) T(std::forward<A>(args)...);
    }
    void pop_back() { data_[--size_].~T(); }
    template <class It>
    void append(It first, It last) {
        reserve(size_ + int(last - first));
        for (; first != last; ++first) new (data_ + size_++) T(*first);
    }
    void insert(int at, T item) {
        emplace_back(std::move(item));
        std::rotate(begin() + at, end() - 1, end());
    }
    void erase(int at) {
        std::move(begin() + at + 1, end(), begin() + at);
        pop_back();
    }
    bool operator==(const SmallVector& other) const {
        return std::equal(begin(), end(), other.begin(), other.end());
    }

private:
    T* local() { return reinterpret_cast<T*>(local_); }
    void grow(int n) {
        if (n <= 0) __builtin_unreachable();  // or gcc 12 warns of an empty allocation
        T* fresh = static_cast<T*>(std::malloc(sizeof(T) * size_t(n)));
        if (fresh == nullptr) throw std::bad_alloc();
        for (int i = 0; i < size_; i++) {
            new (fresh + i) T(std::move(data_[i]));
            data_[i].~T();
        }
        if (data_ != local()) std::free(data_);
        data_ = fresh;
        capacity_ = n;
    }
    void release() {
        for (int i = 0; i < size_; i++) data_[i].~T();
        if (data_ != local()) std::free(data_);
    }
    void take(SmallVector& other) {
        if (other.data_ != other.local()) {
            data_ = std::exchange(other.data_, other.local());
            capacity_ = std::exchange(other.capacity_, N);
            size_ = std::exchange(other.size_, 0);
            return;
        }
        data_ = local();
        capacity_ = N;
        size_ = other.size_;
        for (int i = 0; i < size_; i++) {
            new (data_ + i) T(std::move(other.data_[i]));
            other.data_[i].~T();
        }
        other.size_ = 0;
    }

    T* data_ = local();
    int size_ = 0;
    int capacity_ = N;
    alignas(T) unsigned char local_[sizeof(T) * N];
};

using Dims = SmallVector<int64_t, 6>;
using IntSpan = std::span<const int64_t>;

inline bool same(IntSpan a, IntSpan b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace ember
